//! The program.

use std::path::PathBuf;

use clap::Parser;
use opstead::app::{ServeOptions, serve};

#[derive(Parser)]
enum Command {
    /// Runs the daemon.
    Serve {
        #[arg(long)]
        data: PathBuf,
        #[arg(long)]
        listen: std::net::SocketAddr,
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let Command::Serve { data, listen, config } = Command::parse();
    Ok(serve(ServeOptions { data, listen, config })?)
}
