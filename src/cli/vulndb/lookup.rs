//! `reconctl vulndb lookup`: a CVE, or the CVEs of a version. What the database does not know by that name,
//! or cannot compare, is an error: silence would be taken for an all-clear.

use anyhow::anyhow;
use serde_json::json;

use super::super::table::{display, table};
use super::super::{Failure, Global, Outcome, output};
use super::Place;
use crate::api::ExitCode;
use crate::engines::assess::vulndb::{Certainty, CveId, Details, Known, Product, Vulndb, cpe::Cpe};

/// Show what is known of a CVE, or which CVEs a version of a product has.
///
/// A product is a CPE name with a version, or a name and a version; --banner is what it said of itself,
/// by which packages of distributions are told. A name is one that scanners give (OpenSSH, "Apache httpd"),
/// or a product's in NVD (log4j).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A CVE number, a CPE name or the name of a product.
    #[arg(value_name = "CVE|CPE|NAME")]
    what: String,
    /// The product's version.
    #[arg(value_name = "VERSION")]
    of_version: Option<String>,
    /// What the product said of itself.
    #[arg(long, value_name = "TEXT")]
    banner: Option<String>,
    /// Also what its distribution has fixed.
    #[arg(long)]
    fixed: bool,
    #[command(flatten)]
    place: Place,
}

/// Looks it up.
pub fn run(global: &Global, args: &Args) -> Outcome {
    let db = args.place.open(global)?;
    if CveId::parse(&args.what).is_some() {
        let Some(cve) = db.by_id(&args.what)? else {
            return Err(anyhow::anyhow!("the database has no {}", display(&args.what)).into());
        };
        if global.json || global.jsonl {
            output::json(&cve)?;
        } else {
            output::text(&details(&cve))?;
        }
        return Ok(ExitCode::Ok);
    }
    let asked = asked(&db, args)?;
    let mut known = db.of(&Product {
        cpes: &asked.cpes,
        name: &asked.name,
        version: &asked.version,
        banner: args.banner.as_deref().unwrap_or_default(),
    })?;
    if !args.fixed {
        known.retain(|known| !matches!(known.certainty, Certainty::Fixed { .. }));
    }
    if global.jsonl {
        for known in &known {
            output::text(&format!("{}\n", serde_json::to_string(known)?))?;
        }
    } else if global.json {
        output::json(&json!({ "vulnerabilities": known }))?;
    } else {
        output::text(&listed(global, &known, &asked))?;
    }
    Ok(ExitCode::Ok)
}

fn details(cve: &Details) -> String {
    let mut text = format!("{}  {}\n", cve.id, display(&cve.title));
    if cve.rejected {
        text.push_str("withdrawn\n");
    }
    text.push_str(&format!("\n{}\n\n", display(&cve.description)));
    for cvss in &cve.cvss {
        let (version, score) = (cvss.version, cvss.score);
        text.push_str(&format!(
            "CVSS {version}  {score:.1}  {}\n",
            display(&cvss.vector)
        ));
    }
    if let Some(epss) = &cve.epss {
        let (score, percentile) = (epss.score * 100.0, epss.percentile * 100.0);
        text.push_str(&format!(
            "EPSS      {score:.2} %, more than {percentile:.1} % of all\n"
        ));
    }
    if let Some(kev) = &cve.kev {
        let ransomware = if kev.ransomware {
            ", by ransomware, too"
        } else {
            ""
        };
        text.push_str(&format!(
            "exploited  in CISA's catalogue since {}{ransomware}\n",
            display(&kev.added)
        ));
    }
    for cwe in &cve.cwe {
        text.push_str(&format!("CWE-{cwe}\n"));
    }
    for address in &cve.references {
        text.push_str(&format!("{}\n", display(address)));
    }
    text
}

fn listed(global: &Global, known: &[Known], asked: &Asked) -> String {
    if known.is_empty() {
        let what = format!("{} {}", asked.shown, asked.version);
        return format!("no known vulnerabilities of {}\n", display(what.trim_end()));
    }
    let rows = known.iter().map(|known| {
        let cve = &known.cve;
        let score = cve.cvss.first();
        vec![
            cve.id.clone(),
            score.map_or_else(|| "-".to_owned(), |cvss| format!("{:.1}", cvss.score)),
            if cve.kev.is_some() { "yes" } else { "-" }.to_owned(),
            certainty(&known.certainty),
            format!("{:.0} %", known.confidence * 100.0),
            display(&known.why),
        ]
    });
    let head = ["CVE", "CVSS", "EXPLOITED", "STATE", "SURE", "WHY"];
    table(global, &head, rows.collect())
}

fn certainty(certainty: &Certainty) -> String {
    match certainty {
        Certainty::Affected => "affected".to_owned(),
        Certainty::Likely { .. } => "likely".to_owned(),
        Certainty::PossiblyFixed { distribution } => {
            format!("possibly fixed by {}", distribution.name())
        }
        Certainty::Unimportant { distribution } => {
            format!("unimportant by {}", distribution.name())
        }
        Certainty::Fixed { distribution, .. } => format!("fixed by {}", distribution.name()),
    }
}

/// What the database is asked for.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    cpes: Vec<String>,
    name: String,
    version: String,
    /// As the user called it.
    shown: String,
}

/// A product that the database has, and a version that can be compared.
fn asked(db: &Vulndb, args: &Args) -> Result<Asked, Failure> {
    let usage = |why: String| Failure::new(ExitCode::Usage, anyhow!(why));
    let what = args.what.trim();
    if what.to_ascii_lowercase().starts_with("cve-") {
        let why = format!("{} is no CVE number, as CVE-2024-6387 is", display(what));
        return Err(usage(why));
    }
    if what.starts_with("cpe:") {
        let cpe = Cpe::parse(what);
        let Some((cpe, key)) = cpe.and_then(|cpe| cpe.key().map(|key| (cpe, key))) else {
            let why = format!("{} is no CPE name of one product", display(what));
            return Err(usage(why));
        };
        let version = args.of_version.clone().unwrap_or_default();
        if cpe.version.text().is_none() {
            comparable(&version).map_err(usage)?;
        }
        one_product(db, &key)?;
        return Ok(Asked {
            cpes: vec![what.to_owned()],
            version,
            shown: what.to_owned(),
            ..Asked::default()
        });
    }
    // One word of the shell may have both: "openssh 9.2p1".
    let (name, version) = match (&args.of_version, what.rsplit_once(' ')) {
        (Some(version), _) => (what, version.as_str()),
        (None, Some((name, version))) if comparable(version).is_ok() => (name.trim_end(), version),
        (None, _) => (what, ""),
    };
    let cpe = one_product(db, name)?;
    comparable(version).map_err(usage)?;
    Ok(Asked {
        name: name.to_owned(),
        cpes: cpe.into_iter().collect(),
        version: version.to_owned(),
        shown: name.to_owned(),
    })
}

/// The CPE name of what is called so; `None`: the database is asked by name.
fn one_product(db: &Vulndb, name: &str) -> Result<Option<String>, Failure> {
    let named = db.named(name)?;
    match named.keys.as_slice() {
        [] => {
            let near = match &named.near {
                Some(near) => format!("; did you mean {:?}?", display(near)),
                None => String::new(),
            };
            Err(anyhow!("the database has no product {:?}{near}", display(name)).into())
        }
        _ if named.is_alias => Ok(None),
        [key] => Ok(Some(format!("cpe:2.3:a:{key}:*:*:*:*:*:*:*:*"))),
        keys => {
            let keys: Vec<String> = keys.iter().map(|key| display(key)).collect();
            let error = anyhow!(
                "{} products are called {:?}: name one of {}",
                keys.len(),
                display(name),
                keys.join(", ")
            );
            Err(Failure::new(ExitCode::Usage, error))
        }
    }
}

/// Whether that can be compared with a version.
fn comparable(version: &str) -> Result<(), String> {
    if version.is_empty() {
        return Err("which version? (reconctl vulndb lookup openssh 9.2p1)".to_owned());
    }
    match version.bytes().any(|byte| byte.is_ascii_digit()) {
        true => Ok(()),
        false => Err(format!(
            "{} is no version: it has no digit",
            display(version)
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, vulndb::Command as Verb};
    use crate::engines::assess::vulndb::import;

    /// A database of the test's feed, and its directory.
    fn database() -> (tempfile::TempDir, Vulndb) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("vulndb");
        let data = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/engines/assess/vulndb/testdata/nvd.json");
        import(&path, &[data], &()).unwrap();
        let db = Vulndb::open(&path).unwrap();
        (root, db)
    }

    /// What is asked for, or why that is not possible.
    fn ask(db: &Vulndb, words: &[&str]) -> Result<Asked, String> {
        let all = [&["reconctl", "vulndb", "lookup"], words].concat();
        let cli = Cli::try_parse_from(all).unwrap();
        let Command::Vulndb(Verb::Lookup(args)) = &cli.command else {
            panic!("{cli:?}");
        };
        asked(db, args).map_err(|failure| failure.error.to_string())
    }

    #[test]
    fn what_is_found_is_listed() {
        let (_root, db) = database();
        let global = Cli::try_parse_from(["reconctl", "vulndb", "info"])
            .unwrap()
            .global;
        let asked = ask(&db, &["nginx 1.18.0"]).unwrap();
        let product = Product {
            name: &asked.name,
            version: &asked.version,
            banner: "nginx/1.18.0 (Ubuntu)",
            cpes: &asked.cpes,
        };
        let table = listed(&global, &db.of(&product).unwrap(), &asked);
        assert!(table.contains("CVE-2021-23017"), "{table}");
        assert!(table.contains("possibly fixed by Ubuntu"), "{table}");
        assert!(table.contains("0.6.18 <= 1.18.0 < 1.20.1"), "{table}");
        assert_eq!(
            listed(&global, &[], &asked),
            "no known vulnerabilities of nginx 1.18.0\n"
        );
        let cve = details(&db.by_id("CVE-2014-0160").unwrap().unwrap());
        assert!(cve.contains("CVSS 3.1  7.5"), "{cve}");
    }

    /// Silence would be an all-clear.
    #[test]
    fn what_cannot_be_looked_up_is_an_error() {
        let (_root, db) = database();
        for (words, why) in [
            (&["opensh", "9.2p1"][..], "did you mean \"openssh\"?"),
            (
                &["no-such-thing", "1.0"],
                "has no product \"no-such-thing\"",
            ),
            (&["openssh"], "which version?"),
            (&["openssh", "foo"], "foo is no version"),
            (&["CVE-99-1"], "is no CVE number"),
            (
                &["cpe:2.3:a:nobody:nothing:1.0:*:*:*:*:*:*:*"],
                "has no product",
            ),
            (&["cpe:/a:f5:nginx"], "which version?"),
            (&["cpe:2.3:a:f5", "1.0"], "is no CPE name"),
        ] {
            let told = ask(&db, words).unwrap_err();
            assert!(told.contains(why), "{words:?}: {told}");
        }
    }

    /// Names that only the database knows are found there.
    #[test]
    fn names_of_the_database_do() {
        let (_root, db) = database();
        let asked = ask(&db, &["couchdb", "3.2.1"]).unwrap();
        assert_eq!(asked.cpes, ["cpe:2.3:a:apache:couchdb:*:*:*:*:*:*:*:*"]);
        let product = Product {
            cpes: &asked.cpes,
            version: &asked.version,
            ..Product::default()
        };
        let known = db.of(&product).unwrap();
        assert!(known.iter().any(|known| known.cve.id == "CVE-2022-24706"));
    }
}
