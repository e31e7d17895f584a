use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Bytes of a body in which its own words are looked for; they stand at its beginning.
const LOOKED_AT: usize = 64 * 1024;

/// Titles of listings, by what they begin with, what the body must have besides, and whose they are.
const LISTINGS: [(&str, &str, &str); 10] = [
    ("Index of /", "<pre><a href=\"../\">../</a>", "nginx"),
    ("Index of /", "Parent Directory", "Apache"),
    ("Index of /", "?C=N", "Apache"),
    ("Index of /", "<a href=\"", "lighttpd or another"),
    ("Directory listing for", "<ul>", "Python http.server"),
    ("Directory Listing For", "", "Apache Tomcat"),
    ("Directory: /", "", "Jetty"),
    ("listing directory", "", "serve-index"),
    ("Files within", "", "serve"),
    ("", "[To Parent Directory]", "IIS"),
];

pub(super) fn listing(title: Option<&str>, text: &str) -> Option<String> {
    let title = title.unwrap_or_default();
    let head = head(text);
    let is = |(begins, has, _): &&(&str, &str, &str)| {
        title.starts_with(begins) && (has.is_empty() || head.contains(has))
    };
    // The last one is told by its body only, and that is looked through for it alone.
    LISTINGS
        .iter()
        .find(is)
        .map(|(_, _, whose)| (*whose).to_owned())
}

/// What only an error that tells too much has, and whose it is. From the products' own messages.
const ERRORS: [(&str, &str); 36] = [
    ("Traceback (most recent call last)", "Python"),
    (
        "You're seeing this error because you have <code>DEBUG = True</code>",
        "Django",
    ),
    ("Werkzeug Debugger", "Werkzeug"),
    (
        "<title>Action Controller: Exception caught</title>",
        "Ruby on Rails",
    ),
    ("ActionController::RoutingError", "Ruby on Rails"),
    ("Whoops, looks like something went wrong.", "Laravel"),
    ("Illuminate\\", "Laravel"),
    ("Symfony\\Component\\", "Symfony"),
    ("<b>Fatal error</b>:", "PHP"),
    ("<b>Warning</b>:  ", "PHP"),
    ("<b>Parse error</b>:", "PHP"),
    ("PHP Fatal error:", "PHP"),
    ("Stack trace:\n#0 ", "PHP"),
    ("Server Error in '/", "ASP.NET"),
    ("[HttpException", "ASP.NET"),
    ("System.NullReferenceException", ".NET"),
    ("Microsoft OLE DB Provider for", "ASP"),
    (
        "An unhandled exception occurred while processing the request",
        "ASP.NET Core",
    ),
    ("java.lang.NullPointerException", "Java"),
    ("at java.base/", "Java"),
    ("org.apache.catalina.core", "Apache Tomcat"),
    ("<h1>Whitelabel Error Page</h1>", "Spring Boot"),
    ("org.springframework.", "Spring"),
    ("javax.servlet.ServletException", "Java servlet"),
    ("at Function.Module._load", "Node.js"),
    ("at Layer.handle [as handle_request]", "Express"),
    ("goroutine 1 [running]:", "Go"),
    ("panic: runtime error:", "Go"),
    ("You have an error in your SQL syntax", "MySQL"),
    ("mysqli_sql_exception", "MySQL"),
    ("SQLSTATE[", "PDO"),
    ("PG::SyntaxError", "PostgreSQL"),
    ("ORA-00933", "Oracle"),
    (
        "Unclosed quotation mark after the character string",
        "Microsoft SQL Server",
    ),
    ("SQLite3::SQLException", "SQLite"),
    ("ColdFusion documentation", "ColdFusion"),
];

static ERROR_WORDS: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::new(ERRORS.iter().map(|(words, _)| words)).ok());

pub(super) fn error(text: &str) -> Option<String> {
    let found = ERROR_WORDS.as_ref()?.find(head(text).as_bytes())?;
    Some(ERRORS[found.pattern().as_usize()].1.to_owned())
}

/// Titles of pages that stand there until somebody puts another one.
const DEFAULTS: [(&str, &str); 20] = [
    ("Welcome to nginx!", "nginx"),
    ("Test Page for the Nginx HTTP Server", "nginx"),
    ("Apache2 Debian Default Page", "Apache on Debian"),
    ("Apache2 Ubuntu Default Page", "Apache on Ubuntu"),
    ("Apache HTTP Server Test Page", "Apache"),
    ("Test Page for the Apache HTTP Server", "Apache"),
    ("IIS Windows", "IIS"),
    ("IIS7", "IIS"),
    ("Apache Tomcat/", "Apache Tomcat"),
    ("Welcome to CentOS", "CentOS"),
    ("Welcome to Caddy", "Caddy"),
    ("Caddy works!", "Caddy"),
    ("Welcome to OpenResty!", "OpenResty"),
    ("Welcome to JBoss", "JBoss"),
    ("Welcome to WildFly", "WildFly"),
    ("Default Web Site Page", "cPanel"),
    ("Domain Default page", "Plesk"),
    ("XAMPP", "XAMPP"),
    ("WAMPSERVER Homepage", "WampServer"),
    (
        "The install worked successfully! Congratulations!",
        "Django",
    ),
];

pub(super) fn default(title: Option<&str>, text: &str) -> Option<String> {
    let by_title = title.and_then(|title| {
        DEFAULTS
            .iter()
            .find(|(begins, _)| title.starts_with(begins))
    });
    if let Some((_, whose)) = by_title {
        return Some((*whose).to_owned());
    }
    // Apache's without a title.
    let works = text.len() < 512 && text.contains("<h1>It works!</h1>");
    works.then(|| "Apache".to_owned())
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(LOOKED_AT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
