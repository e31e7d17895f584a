use super::findings::EndpointKind;

/// What is called, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Callee {
    /// Something else.
    #[default]
    Other,
    /// `fetch(url, options)`, `axios(url)`, `$.ajax(url)`: the first argument is asked for.
    Request,
    /// `axios.post(url, body)`: a method by its name.
    Method(&'static str),
    /// The same by an object that is known to make requests: any first argument is a URL.
    Client(&'static str),
    /// `$.post(url, data)`.
    JQuery(&'static str),
    /// `xhr.open(method, url)`.
    Open,
    /// A first argument that leads there by another way.
    Leads(EndpointKind),
    /// A first argument that is the name of a parameter.
    Parameter,
    /// `new URLSearchParams(…)`: keys or a query.
    Query,
    /// `JSON.stringify`, `Object.assign`, `qs.stringify`: what is inside goes where the call stands.
    Through,
}

impl Callee {
    /// By the name before the parenthesis, what stands before its dot, and whether it is behind `new`.
    pub(super) fn of(name: &str, object: Option<&str>, new: bool) -> Self {
        use EndpointKind::{EventSource, Navigation, Script, WebSocket};
        if new {
            return match name {
                "WebSocket" | "ReconnectingWebSocket" => Self::Leads(WebSocket),
                "EventSource" => Self::Leads(EventSource),
                "Worker" | "SharedWorker" => Self::Leads(Script),
                "URLSearchParams" => Self::Query,
                "Request" => Self::Request,
                _ => Self::Other,
            };
        }
        let Some(object) = object else {
            return match name {
                "fetch" | "axios" | "$fetch" | "useFetch" | "ofetch" | "ky" | "got"
                | "superagent" | "useSWR" => Self::Request,
                "import" | "require" | "importScripts" => Self::Leads(Script),
                "navigate" => Self::Leads(EndpointKind::Route),
                _ => Self::Other,
            };
        };
        Self::member(name, object, Navigation)
    }

    fn member(name: &str, object: &str, navigation: EndpointKind) -> Self {
        match name {
            "fetch" | "ajax" | "request" | "sendBeacon" | "getJSON" | "getScript" => Self::Request,
            "load" if is_jquery(object) => Self::Request,
            "open" if object == "window" => Self::Leads(navigation),
            "open" => Self::Open,
            "assign" | "replace" if object == "location" => Self::Leads(navigation),
            "pushState" | "replaceState" => Self::Other,
            "push" if object.to_ascii_lowercase().ends_with("router") => {
                Self::Leads(EndpointKind::Route)
            }
            "register" if object == "serviceWorker" => Self::Leads(EndpointKind::Script),
            "importScripts" => Self::Leads(EndpointKind::Script),
            "stringify" | "assign" => Self::Through,
            "append" | "set" | "get" | "getAll" | "has" | "delete" if holds_parameters(object) => {
                Self::Parameter
            }
            "get" | "post" | "put" | "patch" | "delete" | "head" | "options" | "del" => {
                let method = match name {
                    "get" => "GET",
                    "post" => "POST",
                    "put" => "PUT",
                    "patch" => "PATCH",
                    "head" => "HEAD",
                    "options" => "OPTIONS",
                    _ => "DELETE",
                };
                if is_jquery(object) {
                    Self::JQuery(method)
                } else if is_client(object) {
                    Self::Client(method)
                } else {
                    Self::Method(method)
                }
            }
            _ => Self::Other,
        }
    }

    /// The method that the name says.
    pub(super) fn method(self) -> Option<&'static str> {
        match self {
            Self::Method(method) | Self::Client(method) | Self::JQuery(method) => Some(method),
            _ => None,
        }
    }

    /// Whether the object in this argument is what is sent.
    pub(super) fn sends(self, argument: u16) -> bool {
        match self {
            Self::JQuery(_) => argument == 1,
            Self::Method(method) | Self::Client(method) => {
                argument == 1 && matches!(method, "POST" | "PUT" | "PATCH")
            }
            Self::Query => argument == 0,
            _ => false,
        }
    }

    /// Whether it makes requests: what is told inside belongs to it.
    pub(super) fn asks(self) -> bool {
        matches!(
            self,
            Self::Request | Self::Method(_) | Self::Client(_) | Self::JQuery(_) | Self::Open
        )
    }
}

fn is_jquery(object: &str) -> bool {
    matches!(object, "$" | "jQuery" | "jquery")
}

fn is_client(object: &str) -> bool {
    let lower = object.to_ascii_lowercase();
    matches!(
        lower.as_str(),
        "axios"
            | "$http"
            | "http"
            | "https"
            | "httpclient"
            | "ky"
            | "got"
            | "superagent"
            | "api"
            | "request"
    ) || lower.ends_with("client")
        || lower.ends_with("axios")
}

/// `URLSearchParams`, `FormData` and their like, by how they are called.
fn holds_parameters(object: &str) -> bool {
    let lower = object.to_ascii_lowercase();
    ["param", "formdata", "form_data", "query", "fd"]
        .iter()
        .any(|part| lower.contains(part) && (part.len() > 2 || lower == *part))
}

/// Keys of an object under which a URL stands.
pub(super) fn is_url_key(key: &str) -> bool {
    matches!(
        key,
        "url"
            | "uri"
            | "endpoint"
            | "baseURL"
            | "baseUrl"
            | "href"
            | "src"
            | "action"
            | "path"
            | "route"
            | "pathname"
    )
}

/// Keys of an object under which what is sent stands.
pub(super) fn is_body_key(key: &str) -> bool {
    matches!(
        key,
        "body"
            | "data"
            | "params"
            | "json"
            | "query"
            | "payload"
            | "form"
            | "searchParams"
            | "variables"
    )
}

/// Keys that only a route has beside its `path`: React Router, Vue Router, Angular.
pub(super) fn is_route_key(key: &str) -> bool {
    matches!(
        key,
        "component"
            | "components"
            | "element"
            | "redirect"
            | "redirectTo"
            | "children"
            | "loader"
            | "lazy"
            | "loadChildren"
            | "loadComponent"
            | "canActivate"
            | "Component"
            | "errorElement"
            | "beforeEnter"
    )
}
