//! `reconctl vulndb`: the database of known vulnerabilities, from feeds that were fetched elsewhere.

mod lookup;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;

use super::table::{bytes, display, table};
use super::{Failure, Global, Outcome, output};
use crate::api::ExitCode;
use crate::engines::assess::vulndb::{self, Imported, Info, Tracker, Vulndb};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Read feeds of vulnerabilities into the database.
    Import(ImportArgs),
    /// Show what the database holds.
    Info(InfoArgs),
    /// Show what is known of a CVE, or which CVEs a version of a product has.
    Lookup(lookup::Args),
}

/// Where the database is.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// The database.
    #[arg(long, value_name = "FILE", default_value = vulndb::DEFAULT_PATH)]
    database: PathBuf,
}

/// Read feeds of vulnerabilities into the database.
///
/// What a feed is shows in it: NVD's JSON 2.0 (feeds and pages of its interface), records of the CVE list
/// (format 5), CISA's catalogue of known exploited vulnerabilities (JSON), EPSS scores (CSV), Debian's
/// security tracker (JSON) and advisories of distributions in OSV's format; plain or packed by gzip, xz,
/// zstd or zip. Of a directory or an archive all of them are read. Nothing is fetched.
///
/// What is in the database stays until a feed has something newer. If a feed is broken or cut off, nothing
/// is changed at all.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// Feeds, archives or directories; - is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// Show what the database holds.
#[derive(Debug, clap::Args)]
pub struct InfoArgs {
    /// Read all of it and compare its checksums.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    place: Place,
}

pub async fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Import(args) => import(global, &args),
        Command::Info(args) => info(global, &args),
        Command::Lookup(args) => lookup::run(global, &args),
    }
}

impl Place {
    fn path(&self, global: &Global) -> PathBuf {
        match self.database.strip_prefix("/") {
            // Only the default is below the other root; what the user names is where it says.
            Ok(below) if self.database == Path::new(vulndb::DEFAULT_PATH) => {
                global.root.join(below)
            }
            _ => self.database.clone(),
        }
    }

    /// The database, if it is there; one that the user named must be.
    pub(super) fn if_there(&self, global: &Global) -> Result<Option<Vulndb>, Failure> {
        let default = self.database == Path::new(vulndb::DEFAULT_PATH);
        match default && matches!(self.path(global).try_exists(), Ok(false)) {
            true => Ok(None),
            false => self.open(global).map(Some),
        }
    }

    fn open(&self, global: &Global) -> Result<Vulndb, Failure> {
        let path = self.path(global);
        let hint = || {
            format!(
                "no database (reconctl vulndb import makes {})",
                path.display()
            )
        };
        match path.try_exists() {
            Ok(false) => Err(anyhow::anyhow!(hint()).into()),
            _ => Ok(Vulndb::open(&path)?),
        }
    }
}

/// A bar on a terminal, nothing elsewhere.
struct Bar(ProgressBar);

impl Tracker for Bar {
    fn read(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn file(&self, name: &str) {
        let name = name.rsplit('/').next().unwrap_or(name);
        self.0.set_message(display(name));
    }
}

fn progress(files: &[PathBuf]) -> Bar {
    if !io::stderr().is_terminal() {
        return Bar(ProgressBar::hidden());
    }
    let sizes = files.iter().map(|path| size(path));
    let total: Option<u64> = sizes.sum();
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:30} {percent:>3}% {msg} ETA {eta}",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {bytes} {msg} {elapsed}",
        ),
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    Bar(match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    })
}

/// Bytes of a file; `None`: nobody knows before all is read.
fn size(path: &Path) -> Option<u64> {
    let of = path.metadata().ok()?;
    of.is_file().then_some(of.len())
}

fn import(global: &Global, args: &ImportArgs) -> Outcome {
    let path = args.place.path(global);
    let bar = progress(&args.files);
    let imported = vulndb::import(&path, &args.files, &bar);
    bar.0.finish_and_clear();
    let imported = imported.context("nothing was imported")?;
    if global.json || global.jsonl {
        output::json(&json!({
            "success": true, "changed": imported.changed, "entries": imported.entries,
            "info": imported.info,
        }))?;
    } else {
        output::text(&said(&imported))?;
    }
    Ok(ExitCode::Ok)
}

fn said(imported: &Imported) -> String {
    let entries = HumanCount(imported.entries);
    let cves = HumanCount(imported.info.cves);
    match imported.changed {
        true => format!(
            "read {entries} entries; the database has {cves} CVEs in {}\n",
            bytes(imported.info.size)
        ),
        false => format!("read {entries} entries, nothing new; the database has {cves} CVEs\n"),
    }
}

fn info(global: &Global, args: &InfoArgs) -> Outcome {
    let db = args.place.open(global)?;
    if args.check {
        db.verify()?;
    }
    let info = db.info();
    if global.json || global.jsonl {
        let mut value = serde_json::to_value(info)?;
        value["size"] = info.size.into();
        if args.check {
            value["sound"] = true.into();
        }
        output::json(&value)?;
    } else {
        output::text(&described(global, info))?;
        if args.check {
            output::text("sound: every checksum fits\n")?;
        }
    }
    Ok(ExitCode::Ok)
}

fn described(global: &Global, info: &Info) -> String {
    let rows = info.parts.iter().map(|(name, part)| {
        // Some feeds say the second, others the day.
        let date = part.date.as_deref().unwrap_or("-");
        let date = date.split('T').next().unwrap_or_default();
        vec![
            display(name),
            HumanCount(part.cves).to_string(),
            display(date),
        ]
    });
    format!(
        "{} CVEs ({} withdrawn), {} products, {} ranges, {}\n\n{}",
        HumanCount(info.cves),
        HumanCount(info.rejected),
        HumanCount(info.products),
        HumanCount(info.criteria),
        bytes(info.size),
        table(global, &["SOURCE", "CVES", "NEWEST"], rows.collect())
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    /// Only the default is below another root, and what is shown is what was found.
    #[test]
    fn from_feeds_to_a_table() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().to_str().unwrap();
        let cli = Cli::try_parse_from(["reconctl", "--root", below, "vulndb", "info"]).unwrap();
        let crate::cli::Command::Vulndb(Command::Info(args)) = &cli.command else {
            panic!("{cli:?}");
        };
        let missing = args.place.open(&cli.global).unwrap_err().error.to_string();
        assert!(missing.contains("reconctl vulndb import"), "{missing}");
        let path = args.place.path(&cli.global);
        assert_eq!(path, root.path().join("var/lib/recon/vulndb/vulndb"));
        let data = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/engines/assess/vulndb/testdata/nvd.json");
        let imported = vulndb::import(&path, std::slice::from_ref(&data), &()).unwrap();
        assert!(said(&imported).starts_with("read 85 entries; the database has 85 CVEs in "));
        let again = vulndb::import(&path, &[data], &()).unwrap();
        assert_eq!(
            said(&again),
            "read 85 entries, nothing new; the database has 85 CVEs\n"
        );
        let db = args.place.open(&cli.global).unwrap();
        let described = described(&cli.global, db.info());
        assert!(
            described.starts_with("85 CVEs (0 withdrawn), "),
            "{described}"
        );
    }
}
