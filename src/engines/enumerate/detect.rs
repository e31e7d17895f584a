use std::collections::BTreeSet;

use http::header;

use super::send::Answer;

/// As many extensions are tried with each word.
const MOST: usize = 3;

/// Words in headers, lower case, and the extensions that they speak for.
const SIGNS: [(&str, &str, &[&str]); 14] = [
    ("x-powered-by", "php", &["php"]),
    ("x-powered-by", "asp.net", &["aspx", "asp", "ashx"]),
    ("x-powered-by", "servlet", &["jsp", "do", "action"]),
    ("x-powered-by", "jsp", &["jsp", "do"]),
    ("x-aspnet-version", "", &["aspx", "asp", "ashx"]),
    ("server", "microsoft-iis", &["aspx", "asp"]),
    ("server", "php", &["php"]),
    ("server", "tomcat", &["jsp", "do"]),
    ("server", "coyote", &["jsp", "do"]),
    ("server", "coldfusion", &["cfm"]),
    ("set-cookie", "phpsessid", &["php"]),
    ("set-cookie", "jsessionid", &["jsp", "do", "action"]),
    ("set-cookie", "asp.net_sessionid", &["aspx", "ashx"]),
    ("set-cookie", "aspsessionid", &["asp"]),
];

/// Extensions that are worth a try when a page of the site has them.
const KNOWN: [&str; 12] = [
    "php", "asp", "aspx", "jsp", "do", "action", "py", "rb", "cgi", "pl", "cfm", "html",
];

/// The extensions to try with each word: those of the technology that the server's first answer shows and
/// of the paths that a spider saw.
pub(super) fn extensions(root: &Answer, spidered: &[String]) -> Vec<String> {
    let mut found: Vec<&str> = Vec::new();
    for (name, word, speaks_for) in SIGNS {
        let values = root.headers.get_all(name).iter();
        let mut texts = values.filter_map(|value| value.to_str().ok());
        if texts.any(|text| text.to_ascii_lowercase().contains(word)) {
            found.extend(speaks_for);
        }
    }
    let links = root.header(&header::LOCATION).into_iter();
    let paths = links.chain(spidered.iter().map(String::as_str));
    let of_paths: BTreeSet<&str> = paths.filter_map(extension).collect();
    found.extend(KNOWN.iter().filter(|known| of_paths.contains(*known)));
    let mut extensions: Vec<String> = Vec::new();
    for extension in found {
        if extensions.len() < MOST && !extensions.iter().any(|e| e == extension) {
            extensions.push(extension.to_owned());
        }
    }
    extensions
}

fn extension(path: &str) -> Option<&str> {
    let path = path.split(['?', '#']).next()?;
    path.rsplit('/')
        .next()?
        .rsplit_once('.')
        .map(|(_, extension)| extension)
}
