//! What may be typed about a server under an outside load generator.

use clap::Args;

use crate::target::{LoadKind, Ready};

/// A server, when it serves, and what loads it: all three or none.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// A server: started for each sample, put under load, stopped; {procs} is replaced, as after `--`
    #[arg(long, value_name = "CMD", conflicts_with_all = ["argv", "workloads"], requires_all = ["ready", "load"])]
    pub serve: Option<String>,
    /// When it serves: it accepts, answers a GET with 200 to 399, or writes a line
    #[arg(long, value_name = "tcp:HOST:PORT|http:URL|line:REGEX", requires = "serve")]
    pub ready: Option<Ready>,
    /// The load generator, whose run is the sample; --metric and --latency-metric read its output
    #[arg(long, value_name = "CMD", requires = "serve")]
    pub load: Option<String>,
    /// Whether it waits for answers (closed) or keeps its rate (open); known of wrk, hey, oha and others
    #[arg(long, value_name = "closed|open|unknown", requires = "serve")]
    pub load_kind: Option<LoadKind>,
}

impl ServeArgs {
    /// The first option given that needs `--serve`.
    #[must_use]
    pub fn first_given(&self) -> Option<&'static str> {
        let options = [
            ("--serve", self.serve.is_some()),
            ("--ready", self.ready.is_some()),
            ("--load", self.load.is_some()),
            ("--load-kind", self.load_kind.is_some()),
        ];
        options.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }
}
