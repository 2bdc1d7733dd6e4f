//! Nodes with a Redis of their own: in this process, or as processes that can be killed.

use std::fs::File;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::program::{ConfigFile, Serving, mirant};
use super::{TestRedis, TestServer, until};

/// The folder in which processes are to log, if somebody wants to know.
fn log_folder() -> Option<String> {
    std::env::var("NODE_LOGS").ok()
}

/// Where a process logs: nowhere, or to a file of its own.
fn log() -> Stdio {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let file = |folder| File::create(format!("{folder}/node-{number}.log")).unwrap();
    log_folder().map_or_else(Stdio::null, |folder| file(folder).into())
}

/// A cluster, whose nodes end before their Redis does.
pub(crate) struct TestCluster {
    /// Nodes in this process.
    pub(crate) nodes: Vec<TestServer>,
    /// Nodes that are processes.
    pub(crate) processes: Vec<Serving>,
    pub(crate) redis: TestRedis,
    settings: Vec<String>,
    /// What the nodes show each other.
    _secret: ConfigFile,
}

impl TestCluster {
    /// Starts nodes in this process, each with these settings.
    pub(crate) async fn start(nodes: usize, set: &[&str]) -> Self {
        let mut cluster = Self::over(TestRedis::start().await, set);
        for _ in 0..nodes {
            let node = cluster.node(&[]);
            cluster.nodes.push(node);
        }
        for node in &cluster.nodes {
            // Who has come before that is told that something may be missing.
            until(|| node.metrics().cluster.is_there()).await;
        }
        cluster
    }

    /// A cluster that has no node yet.
    pub(crate) fn over(redis: TestRedis, set: &[&str]) -> Self {
        let secret = ConfigFile::new("cluster-secret", "the secret of the nodes of one test\n");
        let mut settings = vec![
            format!("cluster.redis={}", redis.url()),
            "cluster.listen=127.0.0.1:0".to_owned(),
            // Whoever stops a process waits for that.
            "http.drain_time=0s".to_owned(),
            format!("cluster.secret={{ file = '{}' }}", secret.path()),
        ];
        settings.extend(set.iter().map(|&setting| setting.to_owned()));
        Self {
            nodes: Vec::new(),
            processes: Vec::new(),
            redis,
            settings,
            _secret: secret,
        }
    }

    /// Starts one more node in this process, with settings of its own, and leaves it to the caller.
    pub(crate) fn node(&self, set: &[&str]) -> TestServer {
        TestServer::start(&self.settings(set))
    }

    /// Starts one more as a process, and leaves it to the caller.
    pub(crate) fn process(&self, set: &[&str]) -> Serving {
        self.process_with(set, &[])
    }

    /// The same, with variables of its environment.
    pub(crate) fn process_with(&self, set: &[&str], variables: &[(&str, &str)]) -> Serving {
        let settings = self.settings(set);
        let arguments = settings
            .iter()
            .flat_map(|setting| ["--set", setting])
            .chain(
                log_folder()
                    .iter()
                    .flat_map(|_| ["--log-level", "info,mirant=debug"]),
            )
            .collect::<Vec<_>>();
        let mut command = mirant(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(arguments).stderr(log());
        Serving::of(command.envs(variables.iter().copied()))
    }

    fn settings<'a>(&'a self, set: &[&'a str]) -> Vec<&'a str> {
        let own = self.settings.iter().map(String::as_str);
        own.chain(set.iter().copied()).collect()
    }
}
