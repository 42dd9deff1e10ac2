//! The provider emulators and the phone, for `make run` and for peers written in other languages.

use anyhow::Context;
use clap::Parser;
use cordboard_tests::emulator::{Accounts, Emulators, Provider};

/// Emulates TeleSign, Twilio and Azure Communication Services on loopback, and a phone
#[derive(Parser)]
struct Arguments {
    /// Where the host is reached
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    host: String,
    /// Ports of phone, TeleSign, Twilio and ACS; 0: any
    #[arg(long, num_args = 4, default_values_t = [9100, 9101, 9102, 9103])]
    ports: Vec<u16>,
}

#[actix_web::main]
async fn main() -> std::process::ExitCode {
    match run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // A sentence, also where `RUST_BACKTRACE` is set.
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let ports: [u16; 4] = arguments.ports.try_into().expect("clap asks for four");
    let emulators = Emulators::start(Accounts::sample(&arguments.host), ports)
        .context("the emulators can't have their ports; are others running?")?;
    println!("  phone    {}   (text in as any number; an agent answers)", emulators.phone_url);
    for provider in Provider::ALL {
        println!("  emulator {} {provider:?}", emulators.urls[&provider]);
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}
