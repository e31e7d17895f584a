//! Where a report goes.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::super::Global;
use super::super::pager::Pager;
use crate::report::{Report, Totals};

/// Where a report goes.
#[derive(Debug)]
pub(super) enum Place {
    /// Standard output; a terminal through the pager.
    Out,
    /// A file.
    File(PathBuf),
}

impl Place {
    /// That of `-o`; `-` is standard output.
    pub(super) fn of(path: Option<&Path>) -> Self {
        match path {
            Some(path) if path != Path::new("-") => Self::File(path.to_owned()),
            _ => Self::Out,
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Out) && io::stdout().is_terminal()
    }

    /// Writes a report there.
    pub(super) fn write(&self, global: &Global, report: Report) -> anyhow::Result<Totals> {
        match self {
            Self::Out if io::stdout().is_terminal() => Ok(report.finish(&mut Pager::open(global))?),
            Self::Out => Ok(report.finish(&mut BufWriter::new(io::stdout().lock()))?),
            Self::File(path) => {
                to_file(path, report).with_context(|| format!("cannot write {}", path.display()))
            }
        }
    }
}

/// Beside its place first, then there in one step. What is no file (a device, a pipe) is written to, a link
/// stays one, and a file that was there keeps its mode.
fn to_file(path: &Path, report: Report) -> io::Result<Totals> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = fs::metadata(&path).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return report.finish(&mut BufWriter::new(
            File::options().write(true).open(&path)?,
        ));
    }
    let directory = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .prefix(".reconctl-report-")
        // Less what the umask takes away, as for any file.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory.unwrap_or(Path::new(".")))?;
    let mut out = BufWriter::new(file.as_file_mut());
    let totals = report.finish(&mut out)?;
    out.flush()?;
    drop(out);
    if let Some(old) = old {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(totals)
}
