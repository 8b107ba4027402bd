//! Carries out a fault, and undoes it.

use crate::{
    brokers::BROKERS,
    plan::{Fault, Strike},
    process::Process,
    site::{PARTITIONS, Site, handler_node},
};
use factum::{Aggregate, Result, Topics};
use factum_bank::Account;
use std::{
    thread,
    time::{Duration, Instant},
};

/// Between two looks at the other processes while a fault lasts.
const LOOK: Duration = Duration::from_millis(100);

/// Strikes, waits, and undoes it; returns whom it struck.
///
/// # Errors
/// `Unavailable` when a tool or a script fails, or when a process that was
/// asked to end in good order does not.
pub(crate) fn inject(site: &mut Site, strike: &Strike) -> Result<String> {
    let broker = u8::try_from(strike.whom % usize::from(BROKERS)).unwrap_or_default() + 1;
    let pick = |processes: &[Process]| strike.whom % processes.len().max(1);
    let whom = match strike.fault {
        Fault::BrokerKilled => {
            site.brokers.kill(broker)?;
            wait(site, strike.lasts)?;
            site.brokers.restart(broker)?;
            format!("broker {broker}")
        }
        Fault::BrokerPaused => {
            site.brokers.signal(broker, "STOP")?;
            let waited = wait(site, strike.lasts);
            site.brokers.signal(broker, "CONT")?;
            waited?;
            format!("broker {broker}")
        }
        Fault::BrokerCut => {
            site.network.cut(broker)?;
            let waited = wait(site, strike.lasts);
            site.network.heal(broker)?;
            waited?;
            format!("broker {broker}")
        }
        Fault::LeadersMoved => {
            site.brokers.move_leaders(&topics())?;
            "every partition".to_owned()
        }
        Fault::HandlerKilled => {
            let index = pick(&site.handlers);
            kill(site, strike, |site| &mut site.handlers[index])?
        }
        Fault::ViewKilled => {
            let index = pick(&site.views);
            kill(site, strike, |site| &mut site.views[index])?
        }
        Fault::ClientKilled => {
            let index = pick(&site.clients);
            kill(site, strike, |site| &mut site.clients[index])?
        }
        Fault::RegistryKilled => kill(site, strike, |site| &mut site.registry)?,
        Fault::HandlerStopped => {
            let index = pick(&site.handlers);
            site.handlers[index].stop()?;
            wait(site, strike.lasts)?;
            site.handlers[index].start()?;
            site.handlers[index].name.clone()
        }
        Fault::HandlerPaused => {
            let index = pick(&site.handlers);
            pause(site, strike, |site| &mut site.handlers[index])?
        }
        Fault::ViewPaused => {
            let index = pick(&site.views);
            pause(site, strike, |site| &mut site.views[index])?
        }
        Fault::HandlerCut => {
            let index = pick(&site.handlers);
            let node = handler_node(u8::try_from(index + 1).unwrap_or_default());
            site.network.cut(node)?;
            let waited = wait(site, strike.lasts);
            site.network.heal(node)?;
            waited?;
            site.handlers[index].name.clone()
        }
        Fault::DatabaseRestarted => {
            site.database.kill()?;
            wait(site, strike.lasts)?;
            site.database.restart()?;
            "the database".to_owned()
        }
        Fault::RollingRestart => {
            for broker in 1..=BROKERS {
                site.brokers.wait_in_sync()?;
                site.brokers.restart(broker)?;
                site.tend()?;
            }
            for index in 0..site.handlers.len() {
                site.handlers[index].stop()?;
                site.handlers[index].start()?;
            }
            for index in 0..site.views.len() {
                site.views[index].stop()?;
                site.views[index].start()?;
            }
            "everything".to_owned()
        }
    };
    if needs_replicas(strike.fault) {
        site.brokers.wait_in_sync()?;
    }
    Ok(whom)
}

/// Whether replicas are behind after it: another broker may only fail once they are not.
fn needs_replicas(fault: Fault) -> bool {
    matches!(fault, Fault::BrokerKilled | Fault::BrokerPaused | Fault::BrokerCut | Fault::RollingRestart)
}

fn kill(site: &mut Site, strike: &Strike, of: impl Fn(&mut Site) -> &mut Process) -> Result<String> {
    of(site).kill();
    wait(site, strike.lasts)?;
    of(site).start()?;
    Ok(of(site).name.clone())
}

fn pause(site: &mut Site, strike: &Strike, of: impl Fn(&mut Site) -> &mut Process) -> Result<String> {
    of(site).signal("STOP")?;
    let waited = wait(site, strike.lasts);
    of(site).signal("CONT")?;
    waited?;
    Ok(of(site).name.clone())
}

fn wait(site: &mut Site, time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        site.tend()?;
        thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

/// Those whose leaders matter, with their partitions: Kafka's own two decide about groups and transactions.
fn topics() -> Vec<(String, u32)> {
    let topics = Topics::of(Account::TYPE);
    // The brokers' settings (broker.properties) give Kafka's own as many.
    let own = ["__consumer_offsets", "__transaction_state"].map(|name| (name.to_owned(), 6));
    topics.all().into_iter().map(|topic| (topic.to_string(), PARTITIONS)).chain(own).collect()
}
