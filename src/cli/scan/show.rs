use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::NamedTempFile;

use super::{Args, table};
use crate::cli::Global;
use crate::engines::ports::output::{self, Format, HostScan, Results};

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people.
    Table,
    /// One document, {"scans": [...]}.
    Json,
    /// One host a line, as each is done.
    Jsonl,
    /// As nmap -oX.
    Xml,
    /// As nmap -oG.
    Greppable,
    /// One open port a row.
    Csv,
}

/// The formats of `--all-formats`, and how their files end.
const ALL: [(Form, &str); 6] = [
    (Form::Table, "txt"),
    (Form::Json, "json"),
    (Form::Jsonl, "jsonl"),
    (Form::Xml, "xml"),
    (Form::Greppable, "gnmap"),
    (Form::Csv, "csv"),
];

/// Where results go. Files are made before anything is sent: a scan of hours must not end with one
/// that cannot be written.
pub struct Outputs {
    form: Form,
    to: To,
    others: Vec<(Form, Whole)>,
    /// Hosts that were shown already.
    shown: BTreeSet<IpAddr>,
    failed: Option<io::Error>,
}

enum To {
    Stdout,
    /// JSON lines, as they come.
    Lines(File),
    Whole(Whole),
}

/// A file that is there as a whole or not at all.
struct Whole {
    file: NamedTempFile,
    path: PathBuf,
}

impl Outputs {
    /// What the command line says.
    ///
    /// # Errors
    /// A file cannot be made.
    pub fn new(global: &Global, args: &Args) -> anyhow::Result<Self> {
        let form = match (args.format, global.json, global.jsonl) {
            (Some(form), ..) => form,
            (None, true, _) => Form::Json,
            (None, _, true) => Form::Jsonl,
            (None, false, false) => Form::Table,
        };
        let to = match args.output.as_deref() {
            None => To::Stdout,
            Some(path) if path == Path::new("-") => To::Stdout,
            Some(path) if form == Form::Jsonl => {
                To::Lines(File::create(path).with_context(|| path.display().to_string())?)
            }
            Some(path) => To::Whole(Whole::new(path.to_owned())?),
        };
        let mut others = Vec::new();
        for (form, end) in args.all_formats.iter().flat_map(|_| ALL) {
            let mut path = args
                .all_formats
                .clone()
                .unwrap_or_default()
                .into_os_string();
            path.push(format!(".{end}"));
            others.push((form, Whole::new(path.into())?));
        }
        Ok(Self {
            form,
            to,
            others,
            shown: BTreeSet::new(),
            failed: None,
        })
    }

    /// A host is done.
    pub fn host(&mut self, host: &HostScan) {
        if self.form != Form::Jsonl || !self.shown.insert(host.ip_address) {
            return;
        }
        let done = match &mut self.to {
            To::Lines(file) => output::line(host, file),
            To::Whole(whole) => output::line(host, &mut whole.file),
            To::Stdout => output::line(host, &mut io::stdout().lock()),
        };
        if let Err(error) = done {
            self.failed.get_or_insert(error);
        }
    }

    /// Everything is known.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(&mut self, global: &Global, results: &Results) -> anyhow::Result<()> {
        let others = std::mem::take(&mut self.others);
        for (form, mut whole) in others {
            write(form, results, None, false, &mut whole.file)?;
            whole.persist()?;
        }
        if self.form == Form::Jsonl {
            results.hosts.iter().for_each(|host| self.host(host));
            return match self.failed.take() {
                Some(error) => Err(error.into()),
                None => Ok(()),
            };
        }
        match std::mem::replace(&mut self.to, To::Stdout) {
            To::Whole(mut whole) => {
                write(self.form, results, None, false, &mut whole.file)?;
                whole.persist()
            }
            To::Stdout | To::Lines(_) => {
                let width = crate::cli::table::terminal_width();
                let mut out = io::stdout().lock();
                write(self.form, results, width, global.colors(), &mut out)?;
                Ok(out.flush()?)
            }
        }
    }
}

fn write(
    form: Form,
    results: &Results,
    width: Option<usize>,
    colors: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let format = match form {
        Form::Table => return out.write_all(table::render(results, width, colors).as_bytes()),
        Form::Json => Format::Json,
        Form::Jsonl => Format::Jsonl,
        Form::Xml => Format::Xml,
        Form::Greppable => Format::Greppable,
        Form::Csv => Format::Csv,
    };
    // Most of what is written is small.
    let mut out = io::BufWriter::new(out);
    output::write(format, results, &mut out)?;
    out.flush()
}

impl Whole {
    fn new(path: PathBuf) -> anyhow::Result<Self> {
        let directory = match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".recon-scan-")
            // As any other program would make it: the umask takes away from that.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory)
            // Its own message names the temporary file.
            .map_err(|error| {
                anyhow::anyhow!("{}: {}", path.display(), io::Error::from(error.kind()))
            })?;
        Ok(Self { file, path })
    }

    fn persist(self) -> anyhow::Result<()> {
        let name = || self.path.display().to_string();
        self.file.persist(&self.path).with_context(name)?;
        Ok(())
    }
}
