//! A Bayeux server inside another program: its own settings, a free port, and an end of its own.
//!
//! `cargo run --example embedded`, then point a client at the address it prints; Enter stops it.

use std::time::Duration;

use mirant::config::Config;
use mirant::run::{StartError, bind};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> Result<(), StartError> {
    let mut config = Config::default();
    config.http.listen = vec![([127, 0, 0, 1], 0).into()];
    config.bayeux.session.timeout = Duration::from_secs(20);

    let bound = bind(config, false)?;
    for address in bound.addresses() {
        println!("{} (Enter stops it)", address.url("/cometd"));
    }
    let mut line = String::new();
    let mut input = BufReader::new(tokio::io::stdin());
    bound
        .run(async {
            // The end of the input stops it too.
            let _ = input.read_line(&mut line).await;
        })
        .await;
    Ok(())
}
