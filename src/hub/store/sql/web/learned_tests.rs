use super::*;

fn counted(records: f64, paths: &[(&str, f64)]) -> Counted {
    Counted {
        records,
        paths: paths.iter().map(|(p, n)| ((*p).to_owned(), *n)).collect(),
    }
}

#[test]
fn a_technology_says_more_than_all() {
    let all = || counted(100.0, &[("/wp-login.php", 30.0), ("/robots.txt", 90.0)]);
    let wordpress = counted(30.0, &[("/wp-login.php", 30.0), ("/robots.txt", 27.0)]);
    let drupal = counted(20.0, &[("/robots.txt", 20.0)]);
    let overall = weight(&[all()], "/wp-login.php");
    let on_wordpress = weight(&[all(), wordpress], "/wp-login.php");
    let on_drupal = weight(&[all(), drupal], "/wp-login.php");
    assert!((0.28..0.30).contains(&overall), "{overall}");
    assert!(on_wordpress > 0.9, "{on_wordpress}");
    assert!(on_drupal < 0.05, "{on_drupal}");
    let new = counted(0.0, &[]);
    assert!((weight(&[all(), new], "/wp-login.php") - overall).abs() < 1e-9);
}

#[test]
fn one_record_proves_little() {
    let one = weight(&[counted(1.0, &[("/x", 1.0)])], "/x");
    let many = weight(&[counted(100.0, &[("/x", 100.0)])], "/x");
    assert!(one <= 0.25 && many > 0.95, "{one} {many}");
    assert!(weight(&[], "/x").abs() < 1e-9);
}

#[test]
fn paths_are_as_on_other_records() {
    assert_eq!(general("admin/?x=1").as_deref(), Some("/admin/"));
    assert_eq!(general("//a#b").as_deref(), Some("/a"));
    assert_eq!(general("http://10.0.0.1:8080/a?b").as_deref(), Some("/a"));
    assert_eq!(general("http://10.0.0.1/http://x"), None);
    assert_eq!(general("a://"), None);
    assert_eq!(general("/"), None);
    assert_eq!(general(&"x".repeat(PATH_MAX)), None);
}

#[test]
fn a_limit_shows_nothing() {
    for (status, wanted) in [
        (None, true),
        (Some(200), true),
        (Some(403), true),
        (Some(404), false),
        (Some(429), false),
        (Some(503), false),
    ] {
        assert_eq!(shows(status), wanted, "{status:?}");
    }
}
