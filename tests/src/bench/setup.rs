//! What the host of a benchmark starts with.

use cordboard_core::ids::AgentId;
use cordboard_host::config::Config;

use crate::emulator::Accounts;
use crate::harness::Setup;

/// Agents who may have screens.
const MOST_SCREENS: usize = 8;

/// The same, but the agents with screens are full with so many conversations, and count as present for an hour
/// without one: so their customers' texts are just that, and new customers go to others.
pub fn setup_with_full_agents(conversations: usize) -> (Setup, Accounts, Vec<AgentId>) {
    let (mut setup, accounts, agents) = setup();
    let each = conversations / MOST_SCREENS;
    for n in 0..MOST_SCREENS {
        let of = |most: usize| {
            format!("(id: \"agent-{n}\", queues: [\"support\"], capacity: (messaging: {most},")
        };
        setup.agents = setup.agents.replace(&of(10_000), &of(each));
    }
    setup.sections = "presence: (grace: \"3600s\"),".to_owned();
    setup.write_main();
    (setup, accounts, agents)
}

/// A host with the Twilio channel and agents who can hold everything.
pub fn setup() -> (Setup, Accounts, Vec<AgentId>) {
    let mut setup = Setup::new();
    let accounts = Accounts::sample(&setup.url);
    setup.environment = accounts.environment();
    let agents: Vec<AgentId> =
        (0..MOST_SCREENS).map(|n| AgentId::new(format!("agent-{n}"))).collect();
    for agent in &agents {
        setup.agents += &format!(
            "(id: \"{agent}\", queues: [\"support\"], capacity: (messaging: 10000, units: 1000000)),"
        );
    }
    // More agents than screens, so that a million conversations have somewhere to be.
    for n in MOST_SCREENS..32 {
        setup.agents += &format!(
            "(id: \"agent-{n}\", queues: [\"support\"], capacity: (messaging: 10000, units: 1000000)),"
        );
    }
    setup.write_main();
    setup.write(
        "channels.ron",
        &format!(
            "(channels: [(id: \"sms-twilio\", plugin: \"twilio\", workstream: \"sms\",
              config: (account_sid: \"{}\", numbers: [(number: \"+15550002002\", type: \"local\")]),
              secrets: {{\"auth_token\": Env(\"TWILIO_AUTH_TOKEN\")}})])",
            accounts.twilio_sid
        ),
    );
    let all = (0..32).map(|n| AgentId::new(format!("agent-{n}"))).collect();
    (setup, accounts, all)
}

/// The configuration as the host reads it.
///
/// # Errors
/// What is wrong with it.
pub fn loaded(setup: &Setup) -> anyhow::Result<Config> {
    let config = cordboard_host::config::load(setup.config().as_ref());
    config.map_err(|errors| anyhow::anyhow!("{errors}"))
}
