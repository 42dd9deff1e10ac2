//! `cordboard why` and `cordboard why-not`: the running host answers.

use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::cli::{AskArgs, print};

/// Why a conversation is where it is.
pub async fn why(args: &AskArgs, conversation: &str) -> anyhow::Result<ExitCode> {
    let why = ask(args, &format!("conversations/{conversation}/why")).await?;
    let agent = why["agent"].as_str().unwrap_or("nobody");
    print::success(&format!("{} · {} · {agent} has it", conversation, text(&why["state"])));
    if let Some(place) = why["place"].as_object() {
        let position = place["position"].as_u64();
        let position = position.map_or("being offered".to_owned(), |n| format!("number {n}"));
        let wait = place["estimated_wait_ms"].as_i64();
        let wait = wait.map_or(String::new(), |ms| format!(", about {} s to wait", ms / 1000));
        println!("  in {}: {position} of {}{wait}", text(&place["queue"]), place["waiting"]);
    }
    for step in why["steps"].as_array().into_iter().flatten() {
        println!("  {}  {}", clock(&step["at"]), text(&step["sentence"]));
        for passed in step["passed_over"].as_array().into_iter().flatten() {
            println!("            {}: {}", text(&passed["agent"]), text(&passed["sentence"]));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Why an agent doesn't have a conversation.
pub async fn why_not(args: &AskArgs, agent: &str, conversation: &str) -> anyhow::Result<ExitCode> {
    let path = format!("agents/{agent}/why-not?conversation={conversation}");
    let answer = ask(args, &path).await?;
    println!("{}", text(&answer["sentence"]));
    Ok(ExitCode::SUCCESS)
}

async fn ask(args: &AskArgs, path: &str) -> anyhow::Result<Value> {
    let client = crate::plugin::Services::client().map_err(anyhow::Error::msg)?;
    let url = format!("{}/api/v1/{path}", args.url.trim_end_matches('/'));
    let request = client.get(&url).bearer_auth(&args.token);
    let response =
        request.send().await.with_context(|| format!("no host answers at {}", args.url))?;
    let is_success = response.status().is_success();
    let body: Value = response.json().await.context("the answer isn't JSON")?;
    if !is_success {
        bail!("{}", text(&body["message"]));
    }
    Ok(body)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn clock(at: &Value) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.as_i64().unwrap_or(0)).unwrap_or_default();
    instant.strftime("%H:%M:%S").to_string()
}
