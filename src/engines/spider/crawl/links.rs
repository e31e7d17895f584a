use url::Url;

use super::super::LinkKind;
use super::super::html::Form;

/// What is done with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// It is a page.
    Page,
    /// It belongs to the page that leads to it, and is read for what it says.
    Part,
    /// It is noted only.
    No,
}

/// What is done with links of a kind. A form's action is followed where the form asks by GET.
pub fn follow(kind: LinkKind) -> Follow {
    match kind {
        LinkKind::Page
        | LinkKind::Form
        | LinkKind::Frame
        | LinkKind::Object
        | LinkKind::Related
        | LinkKind::Redirect
        | LinkKind::Cite
        | LinkKind::Data
        | LinkKind::Comment
        | LinkKind::Code
        | LinkKind::Sitemap => Follow::Page,
        LinkKind::Script | LinkKind::Style | LinkKind::Manifest => Follow::Part,
        LinkKind::Image | LinkKind::Media | LinkKind::Ping => Follow::No,
    }
}

/// Whether a form of the page asks for this by GET.
pub fn asks_by_get(forms: &[Form], action: &Url) -> bool {
    let mut forms = forms.iter();
    forms.any(|form| form.method == "GET" && form.action == action.as_str())
}

/// Names of what is large and says nothing about where to go: of these only the beginning is read.
const OPAQUE: [&str; 44] = [
    "7z", "avi", "avif", "bin", "bmp", "bz2", "dmg", "doc", "docx", "eot", "exe", "flac", "gif",
    "gz", "ico", "iso", "jar", "jpeg", "jpg", "m4a", "mkv", "mov", "mp3", "mp4", "mpg", "msi",
    "ogg", "otf", "pdf", "png", "ppt", "pptx", "rar", "tar", "tgz", "ttf", "wav", "webm", "webp",
    "woff", "woff2", "xls", "xz", "zip",
];

/// Whether a URL names a file of which only the beginning is worth reading.
pub fn is_opaque(url: &Url) -> bool {
    let name = url.path().rsplit('/').next().unwrap_or_default();
    let Some((_, extension)) = name.rsplit_once('.') else {
        return false;
    };
    let extension = extension.to_ascii_lowercase();
    // A sitemap may be compressed.
    OPAQUE.binary_search(&extension.as_str()).is_ok() && !name.ends_with(".xml.gz")
}

/// Words of a path that ends a session.
const LOGOUT: [&str; 8] = [
    "logout", "log-out", "log_out", "logoff", "signout", "sign-out", "sign_out", "signoff",
];

/// Whether a URL ends the session of who asks for it, by its name.
pub fn logs_out(url: &Url) -> bool {
    let text = url[url::Position::BeforePath..].to_ascii_lowercase();
    LOGOUT.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_say_nothing() {
        assert!(OPAQUE.is_sorted());
        let of = |path: &str| is_opaque(&Url::parse("http://a.test/").unwrap().join(path).unwrap());
        assert!(of("x/y.PDF") && of("a.tar.gz?x=1"));
        assert!(!of("sitemap.xml.gz") && !of("pdf") && !of("x.pdf/"));
    }

    #[test]
    fn what_ends_a_session() {
        let of = |path: &str| logs_out(&Url::parse("http://a.test/").unwrap().join(path).unwrap());
        assert!(of("account/LogOut") && of("index.php?action=logoff"));
        assert!(!of("blog/out"));
    }
}
