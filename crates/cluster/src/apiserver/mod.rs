//! The API server: what may be asked of a cluster, and what comes of it.
//!
//! Knows: requests, the schema, the objects.
//! Does not know: sockets, or what controllers make of a change.
//!
//! ```text
//! bytes ─decode▶ Call ─handle▶ Answer ─encode▶ bytes
//! ```
//!
//! | file | does |
//! |---|---|
//! | `call` | the nouns: a decoded request and its answer |
//! | `decode`, `encode` | bytes to a call, an answer to bytes; the only parsers of what a client sent |
//! | `list` | collections: in pages, as they were, as they change |
//! | `handle` | authentication is over: authorize, dispatch to discovery, a verb, or a subresource |
//! | `fields/` | whether a document fits its type: strangers, repetitions, values of the wrong kind |
//! | `registry/` | the verbs, the same for every kind; what differs by kind is a strategy |
//! | `patch/`, `apply/` | the four patch types, field managers |
//! | `defaults/`, `validation/` | what is filled in, what is refused, kind by kind |
//! | `custom/` | the same for objects that a CustomResourceDefinition defines |
//! | `admission/` | what the cluster's own rules fill in or refuse |
//! | `policy/` | rules of the cluster that are objects themselves |
//! | `token` | tokens of service accounts |
//! | `discovery`, `openapi`, `table/` | what there is, and how it is shown |

mod admission;
mod apply;
pub mod auth;
pub mod call;
mod custom;
pub mod decode;
pub(crate) mod defaults;
pub mod discovery;
pub mod encode;
mod fields;
mod handle;
mod list;
mod names;
mod openapi;
pub mod patch;
mod policy;
pub mod protobuf;
pub mod registry;
pub mod selector;
pub mod status;
mod subresources;
pub mod table;
pub(crate) mod token;
mod validation;
mod watch;

pub use call::{
    Answer, Call, Content, Encoding, FieldValidation, Form, Options, Output, PatchType, Subject, User, Verb, Watch,
};
pub use decode::{Request, decode, plain_output};
pub use defaults::would_reset;
pub use encode::{Body, Encoded, Outgoing, encode, encode_call, event as encode_event};
pub use handle::handle;
pub(crate) use policy::warnings as policy_warnings;
pub use status::{Cause, Status};
pub(crate) use subresources::scale_of;
pub use token::authenticate;
