//! The prices of the ticker: made up by the server itself, which publishes each as it changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::bayeux::{ChannelName, Limits, Message};
use crate::server::{Actor, BayeuxServer, Sent};

/// How often some of the prices change.
const TICK: Duration = Duration::from_millis(100);
/// How many do each time.
const CHANGES: usize = 12;
/// Below which channel they are.
const CHANNELS: &str = "/demo/ticker";

/// Each company is called by one of these and one of those.
const FIRST: [&str; 10] = [
    "Amber", "Birch", "Cobalt", "Dune", "Ember", "Fern", "Glacier", "Heron", "Indigo", "Juniper",
];
const SECOND: [&str; 10] = [
    "Bakers", "Canals", "Foods", "Freight", "Glass", "Looms", "Mills", "Optics", "Rail", "Salt",
];

/// Publishes prices for as long as the server runs.
pub async fn run(server: Arc<BayeuxServer>) {
    let mut market = Market::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for _ in 0..CHANGES {
            let chance = getrandom::u64().unwrap_or_default();
            publish(&server, market.change(chance)).await;
        }
    }
}

async fn publish(server: &BayeuxServer, company: &Company) {
    let message = company.message();
    let sent = {
        let mut message: Message<'_> =
            serde_json::from_str(&message).expect("it was made of fields");
        let mut sending = server.sending(Actor {
            is_backend: true,
            ..Actor::default()
        });
        sending.publish(0, &mut message, &company.channel, Instant::now())
    };
    match sent {
        Ok(Sent::Later(later)) => drop(later.await),
        Ok(Sent::Done(_) | Sent::Local(_)) => {}
        Err(error) => tracing::debug!(%error, "a price was not published"),
    }
}

/// All companies.
struct Market {
    companies: Vec<Company>,
}

/// One of them.
struct Company {
    name: String,
    channel: ChannelName,
    /// In cents.
    price: i64,
    /// How often it has changed, by which clients see what they have not seen.
    changes: u64,
}

impl Market {
    fn new() -> Self {
        let of = |first: &'static str| SECOND.map(|second| format!("{first} {second}"));
        let names = FIRST.into_iter().flat_map(of);
        let companies = names
            .enumerate()
            .map(|(number, name)| Company::new(number, name));
        Self {
            companies: companies.collect(),
        }
    }

    /// Changes a price, as chance will have it; returns whose.
    fn change(&mut self, chance: u64) -> &Company {
        let [which, parts @ .., _] = chance.to_le_bytes();
        let index = usize::from(which) % self.companies.len();
        let company = &mut self.companies[index];
        // Of several parts, so that small steps are more likely than large ones: at most 1 % either way.
        let sum: i64 = parts.iter().map(|&part| i64::from(part)).sum();
        let middle = 255 * 6 / 2;
        let step = company.price * (sum - middle) / (middle * 100);
        company.price = (company.price + step + (sum - middle).signum()).clamp(100, 1_000_000);
        company.changes += 1;
        company
    }
}

impl Company {
    fn new(number: usize, name: String) -> Self {
        let segment = name.to_lowercase().replace(' ', "-");
        let channel = format!("{CHANNELS}/{segment}");
        let price = i64::try_from(number).unwrap_or_default() * 317 % 9000 + 1500;
        Self {
            channel: ChannelName::parse(&channel, &Limits::of_known_channels())
                .expect("the names are letters and spaces"),
            name,
            price,
            changes: 0,
        }
    }

    fn message(&self) -> String {
        json!({
            "channel": self.channel.as_str(),
            "data": {"name": self.name, "cents": self.price, "change": self.changes},
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_are_a_hundred_companies_each_on_a_channel_of_its_own() {
        let market = Market::new();
        let channels = market
            .companies
            .iter()
            .map(|company| company.channel.as_str());
        let channels: HashSet<&str> = channels.collect();
        assert_eq!(channels.len(), 100);
        assert!(channels.contains("/demo/ticker/amber-foods"));
    }

    #[test]
    fn a_price_changes_by_a_hundredth_at_most_and_stays_positive() {
        let mut market = Market::new();
        for chance in [0, u64::MAX, 0x0123_4567_89ab_cdef] {
            let index = usize::from(chance.to_le_bytes()[0]) % 100;
            for change in 1..2000 {
                let before = market.companies[index].price;
                let company = market.change(chance);
                assert!((company.price - before).abs() <= before / 100 + 1);
                assert!(company.price >= 100);
                assert!(company.changes >= change);
            }
        }
    }
}
