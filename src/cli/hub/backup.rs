use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::api::ExitCode;
use crate::cli::hub_client::HubClient;
use crate::cli::table::bytes;
use crate::cli::{Failure, Global, Outcome, output};

/// How a SQLite database begins (sqlite.org/fileformat2.html).
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Copy the hub's database while it runs.
///
/// The copy is what was stored at one moment, whole and without free space. With PostgreSQL, which has
/// a tool of its own for that, its command line is shown.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to; - is standard output.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

pub async fn run(global: &Global, args: Args) -> Outcome {
    let hub = HubClient::new(global)?;
    if args.file.as_os_str() == "-" {
        let out = std::io::stdout();
        if out.is_terminal() {
            let error = anyhow!("a backup is no text: send it to a file or a program");
            return Err(Failure::new(ExitCode::Usage, error));
        }
        hub.download("/api/hub/backup", &mut out.lock()).await?;
        return Ok(ExitCode::Ok);
    }
    let size = to_file(&hub, &args.file).await?;
    if global.json || global.jsonl {
        let file = args.file.display().to_string();
        output::json(&serde_json::json!({ "backup": { "file": file, "size_bytes": size } }))?;
    } else {
        output::text(&format!("{} ({})\n", args.file.display(), bytes(size)))?;
    }
    Ok(ExitCode::Ok)
}

/// The file is there when it is whole; only its owner may read it.
async fn to_file(hub: &HubClient, file: &Path) -> Result<u64, Failure> {
    // What a link leads to, as cp does.
    let file = &file.canonicalize().unwrap_or_else(|_| file.to_owned());
    if file.exists() && !file.is_file() {
        let error = anyhow!("{} is no file; a pipe takes it by -", file.display());
        return Err(Failure::new(ExitCode::Usage, error));
    }
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let cannot = || format!("cannot write {}", file.display());
    std::fs::read_dir(directory).with_context(cannot)?;
    let mut new = tempfile::NamedTempFile::new_in(directory).with_context(cannot)?;
    let size = hub.download("/api/hub/backup", &mut new).await?;
    let begins = std::fs::File::open(new.path()).and_then(|mut f| {
        let mut begins = [0; MAGIC.len()];
        std::io::Read::read_exact(&mut f, &mut begins).map(|()| begins)
    });
    if begins.ok().as_ref().map(|b| &b[..]) != Some(MAGIC) {
        return Err(anyhow!("what the hub sent is no backup; its log says why").into());
    }
    new.flush().with_context(cannot)?;
    new.as_file().sync_all().with_context(cannot)?;
    new.persist(file)
        .map_err(|e| e.error)
        .with_context(cannot)?;
    Ok(size)
}
