//! Pages, forms and endpoints in the result of a spider. What strangers wrote is cut off where it is too
//! long and tidied; only what an agent cannot have meant is refused.

use serde::Deserialize;
use serde_json::Value;

use super::super::error::ApiError;
use super::super::extract::Object;
use super::fields::Fields;
use super::results::LIST_MAX;
use super::secrets::Redactor;
use crate::api::{FormInput, SpiderEndpoint, SpiderForm, SpiderPage};

/// Inputs of one form, and parameters of one endpoint, that are kept.
const PARTS_MAX: usize = 200;
/// Bytes that are kept of a name, a value, a type.
const SHORT_MAX: usize = 200;
/// Bytes that are kept of a title.
const TITLE_MAX: usize = 500;
/// Longest hash, as hex: SHA-512's.
const HASH_MAX: usize = 128;

/// A page as sent; `status_code` and `content_length` are what the earlier spider calls them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawPage {
    url: Value,
    status: Value,
    status_code: Value,
    content_type: Value,
    length: Value,
    content_length: Value,
    title: Value,
    content_hash: Value,
    depth: Value,
    truncated: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawForm {
    page: Value,
    method: Value,
    action: Value,
    enctype: Value,
    inputs: Option<Vec<Object<RawInput>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawInput {
    name: Value,
    #[serde(rename = "type")]
    kind: Value,
    value: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawEndpoint {
    url: Value,
    method: Value,
    parameters: Option<Vec<Value>>,
    source: Value,
    kind: Value,
}

/// A list of objects.
pub(super) type Raw<T> = Option<Vec<Object<T>>>;

/// A list as sent is no longer than any list in a result.
fn bounded<T>(name: &str, list: Raw<T>) -> Result<Option<Vec<Object<T>>>, ApiError> {
    if list.as_ref().is_some_and(|list| list.len() > LIST_MAX) {
        let message =
            format!("must have {LIST_MAX} entries at most; send the rest with its run_id");
        return Err(ApiError::field(name, "range", message));
    }
    Ok(list)
}

impl Fields {
    /// The pages; one without a URL is passed over.
    pub(super) fn pages(
        &mut self,
        list: Raw<RawPage>,
        redactor: &Redactor,
    ) -> Result<Option<Vec<SpiderPage>>, ApiError> {
        let Some(list) = bounded("result.pages", list)? else {
            return Ok(None);
        };
        let list = list.iter().enumerate();
        let pages = list.filter_map(|(i, Object(raw))| self.page(i, raw, redactor));
        Ok(Some(pages.collect()))
    }

    fn page(&mut self, i: usize, raw: &RawPage, redactor: &Redactor) -> Option<SpiderPage> {
        let field = |name: &str| format!("result.pages[{i}].{name}");
        let url = self.text(&field("url"), &raw.url)?;
        let either = |value: &Value, other: &Value| {
            if value.is_null() {
                other.clone()
            } else {
                value.clone()
            }
        };
        let status = either(&raw.status, &raw.status_code);
        let length = either(&raw.length, &raw.content_length);
        let title = self.text(&field("title"), &raw.title);
        let title = title.map(|text| cut(redactor.text(text), TITLE_MAX));
        let depth = self.count(&field("depth"), &raw.depth, i64::from(u32::MAX));
        let depth = depth.and_then(|depth| u32::try_from(depth).ok());
        Some(SpiderPage {
            url: redactor.text(url),
            // As of a request that does not say.
            status: self.status(&field("status"), &status).unwrap_or(200),
            content_type: self.short(&field("content_type"), &raw.content_type),
            length: self.count(&field("length"), &length, i64::MAX),
            title,
            content_hash: self.hash(&field("content_hash"), &raw.content_hash),
            depth: depth.unwrap_or_default(),
            truncated: self.flag(&field("truncated"), &raw.truncated) == Some(true),
        })
    }

    /// The forms; one without an action sends to its own page.
    pub(super) fn forms(
        &mut self,
        list: Raw<RawForm>,
        redactor: &Redactor,
    ) -> Result<Option<Vec<SpiderForm>>, ApiError> {
        let Some(list) = bounded("result.forms", list)? else {
            return Ok(None);
        };
        let list = list.iter().enumerate();
        let forms = list.map(|(i, Object(raw))| self.form(i, raw, redactor));
        Ok(Some(forms.collect()))
    }

    fn form(&mut self, i: usize, raw: &RawForm, redactor: &Redactor) -> SpiderForm {
        let field = |name: &str| format!("result.forms[{i}].{name}");
        let page = self
            .text(&field("page"), &raw.page)
            .map(|t| redactor.text(t));
        let page = page.unwrap_or_default();
        let action = self.text(&field("action"), &raw.action);
        let action = action.map_or_else(|| page.clone(), |t| redactor.text(t));
        let inputs = raw.inputs.as_deref().unwrap_or_default();
        let inputs = inputs.iter().take(PARTS_MAX).enumerate();
        let inputs = inputs
            .map(|(j, Object(input))| self.input(&field(&format!("inputs[{j}]")), input, redactor));
        let inputs = inputs.collect();
        let method = self.short(&field("method"), &raw.method);
        SpiderForm {
            method: method.map_or_else(|| "GET".to_owned(), |m| m.to_ascii_uppercase()),
            enctype: self
                .short(&field("enctype"), &raw.enctype)
                .unwrap_or_default(),
            page,
            action,
            inputs,
        }
    }

    fn input(&mut self, field: &str, raw: &RawInput, redactor: &Redactor) -> FormInput {
        let mut short = |name: &str, value| self.short(&format!("{field}.{name}"), value);
        let kind = short("type", &raw.kind).map(|kind| kind.to_ascii_lowercase());
        let value = short("value", &raw.value);
        FormInput {
            name: short("name", &raw.name).unwrap_or_default(),
            value: value
                .filter(|_| kind.as_deref() != Some("password"))
                .map(|value| redactor.text(value)),
            kind: kind.unwrap_or_else(|| "text".to_owned()),
        }
    }

    /// The endpoints, each method and URL once with all its parameters; one without a URL is passed over.
    pub(super) fn endpoints(
        &mut self,
        list: Raw<RawEndpoint>,
        redactor: &Redactor,
    ) -> Result<Option<Vec<SpiderEndpoint>>, ApiError> {
        let Some(list) = bounded("result.endpoints", list)? else {
            return Ok(None);
        };
        let mut places = std::collections::HashMap::new();
        let mut endpoints: Vec<SpiderEndpoint> = Vec::with_capacity(list.len());
        for (i, Object(raw)) in list.iter().enumerate() {
            let Some(endpoint) = self.endpoint(i, raw, redactor) else {
                continue;
            };
            let key = (endpoint.method.clone(), endpoint.url.clone());
            let place = *places.entry(key).or_insert(endpoints.len());
            match endpoints.get_mut(place) {
                Some(known) => add_parameters(known, endpoint.parameters),
                None => endpoints.push(endpoint),
            }
        }
        Ok(Some(endpoints))
    }

    fn endpoint(
        &mut self,
        i: usize,
        raw: &RawEndpoint,
        redactor: &Redactor,
    ) -> Option<SpiderEndpoint> {
        let field = |name: &str| format!("result.endpoints[{i}].{name}");
        let url = self.text(&field("url"), &raw.url)?;
        let source = self.text(&field("source"), &raw.source);
        let method = self.short(&field("method"), &raw.method);
        let mut endpoint = SpiderEndpoint {
            url: redactor.text(url),
            method: method.unwrap_or_default().to_ascii_uppercase(),
            parameters: Vec::new(),
            source: redactor.text(source.unwrap_or_default()),
            kind: self.short(&field("kind"), &raw.kind).unwrap_or_default(),
        };
        let names = raw.parameters.as_deref().unwrap_or_default();
        let names = names.iter().take(PARTS_MAX);
        // As in the analysis of scripts: names, or objects that have one.
        let names = names.map(|name| name.get("name").unwrap_or(name));
        let names = names.filter_map(|name| self.short(&field("parameters"), name));
        add_parameters(&mut endpoint, names.collect());
        Some(endpoint)
    }

    /// Text of which only the beginning matters.
    fn short(&mut self, field: &str, value: &Value) -> Option<String> {
        self.text(field, value).map(|text| cut(text, SHORT_MAX))
    }

    fn hash(&mut self, field: &str, value: &Value) -> Option<String> {
        let hash = self.text(field, value)?.to_ascii_lowercase();
        let sound = hash.len() <= HASH_MAX && hash.bytes().all(|b| b.is_ascii_hexdigit());
        if !sound {
            self.wrong(field, "value", "must be hex of up to 128 digits");
        }
        Some(hash).filter(|_| sound)
    }
}

fn add_parameters(endpoint: &mut SpiderEndpoint, names: Vec<String>) {
    for name in names {
        if endpoint.parameters.len() < PARTS_MAX && !endpoint.parameters.contains(&name) {
            endpoint.parameters.push(name);
        }
    }
}

fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

#[cfg(test)]
#[path = "spider_web_tests.rs"]
mod tests;
