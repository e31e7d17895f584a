use serde_json::{from_value, json};

use super::*;

fn nothing() -> Redactor {
    Redactor::new(std::iter::empty())
}

fn field_of(fields: &Fields) -> Vec<&str> {
    fields.errors.iter().map(|e| e.field.as_str()).collect()
}

#[test]
fn pages_are_tidied() {
    let list = json!([
        { "url": "http://x/\u{1b}[2J", "status": 404, "title": "t".repeat(900), "depth": 2,
          "content_hash": "ABC0", "length": 7, "truncated": true },
        { "url": "http://x/old", "status_code": 500, "content_length": 3, "cookies": [] },
        { "title": "without a URL" },
    ]);
    let mut fields = Fields::default();
    let pages = fields.pages(from_value(list).unwrap(), &nothing());
    let pages = pages.unwrap().unwrap();
    assert_eq!(pages.len(), 2);
    assert_eq!(pages[0].url, "http://x/\\u{1b}[2J");
    assert_eq!(pages[0].title.as_ref().unwrap().len(), TITLE_MAX);
    assert_eq!(pages[0].content_hash.as_deref(), Some("abc0"));
    assert_eq!((pages[1].status, pages[1].length), (500, Some(3)));
    assert!(fields.errors.is_empty());
}

#[test]
fn what_cannot_be_meant_is_named() {
    let list = json!([{ "url": 7 }, { "url": "/", "content_hash": "xyz", "status": 1000 }]);
    let mut fields = Fields::default();
    fields.pages(from_value(list).unwrap(), &nothing()).unwrap();
    let wanted = [
        "result.pages[0].url",
        "result.pages[1].status",
        "result.pages[1].content_hash",
    ];
    assert_eq!(field_of(&fields), wanted);
    let many = json!(vec![json!({}); LIST_MAX + 1]);
    assert!(fields.forms(from_value(many).unwrap(), &nothing()).is_err());
}

#[test]
fn passwords_are_not_kept() {
    let list = json!([{ "page": "http://x/login", "method": "post", "inputs": [
        { "name": "user", "value": "guest" },
        { "name": "pass", "type": "Password", "value": "hunter2" } ] }]);
    let mut fields = Fields::default();
    let forms = fields.forms(from_value(list).unwrap(), &nothing());
    let form = &forms.unwrap().unwrap()[0];
    assert_eq!(
        (form.method.as_str(), form.action.as_str()),
        ("POST", "http://x/login")
    );
    assert_eq!(form.inputs[0].value.as_deref(), Some("guest"));
    assert_eq!(form.inputs[1].value, None);
}

#[test]
fn an_endpoint_of_two_scripts_is_one() {
    let list = json!([
        { "url": "/api/a", "method": "get", "parameters": ["x"], "source": "http://x/1.js" },
        { "url": "/api/a", "method": "GET", "parameters": [{ "name": "y" }, "x"] },
        { "url": "/api/a", "method": "POST" },
    ]);
    let mut fields = Fields::default();
    let endpoints = fields.endpoints(from_value(list).unwrap(), &nothing());
    let endpoints = endpoints.unwrap().unwrap();
    assert_eq!(endpoints.len(), 2);
    assert_eq!(endpoints[0].parameters, ["x", "y"]);
    assert_eq!(endpoints[0].source, "http://x/1.js");
}
