//! What a plugin says of itself before any of its code runs.

use serde::{Deserialize, Serialize};

use crate::strategy::StrategyManifest;

/// Something that a channel can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offer {
    /// Takes customers' messages.
    Inbound,
    /// Sends messages.
    Outbound,
    /// Reports what became of sent messages.
    DeliveryReports,
    /// Files with messages.
    Media,
    /// Reports opt-out and opt-in.
    OptOut,
}

impl Offer {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::DeliveryReports => "delivery_reports",
            Self::Media => "media",
            Self::OptOut => "opt_out",
        }
    }
}

/// A channel plugin's manifest. A constant, so that the host can read it from the file.
#[derive(Clone, Copy, Debug)]
pub struct Manifest {
    /// Short name: lower case letters, digits and `-`.
    pub name: &'static str,
    /// The plugin's own version; `env!("CARGO_PKG_VERSION")` is a good choice.
    pub version: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// `messaging`, `chat`, `voice` or `email`.
    pub channel_kind: &'static str,
    /// Hosts it sends requests to (`api.example.com`, or `*.example.com` for any below it); the
    /// operator can allow others per channel.
    pub hosts: &'static [&'static str],
    /// Names of the secrets it reads; the operator says where each comes from.
    pub secrets: &'static [&'static str],
    /// Headers of webhooks that it looks at, in lower case: it is given these and no others. A signature's, mostly.
    pub headers: &'static [&'static str],
    /// What it can do.
    pub offers: &'static [Offer],
    /// The most characters of one message, each way.
    pub max_text: u32,
    /// Whether the provider recognises a repeated send by its reference. If not, the host never
    /// repeats a send of which it can't know whether it arrived.
    pub idempotent_sends: bool,
}

/// A manifest as the host reads it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestInfo {
    /// Version of the plugin boundary it was built for; see [`crate::abi::ABI_VERSION`].
    pub abi: u32,
    /// Version of the SDK it was built with.
    pub sdk: String,
    /// What sort of plugin it is: `channel` or `strategy`.
    pub plugin_kind: String,
    /// See [`Manifest::name`].
    pub name: String,
    /// See [`Manifest::version`].
    pub version: String,
    /// See [`Manifest::description`].
    pub description: String,
    /// See [`Manifest::channel_kind`].
    pub channel_kind: String,
    /// See [`Manifest::hosts`].
    pub hosts: Vec<String>,
    /// See [`Manifest::secrets`].
    pub secrets: Vec<String>,
    /// See [`Manifest::headers`]; plugins of before there was a list get all.
    #[serde(default)]
    pub headers: Option<Vec<String>>,
    /// See [`Manifest::offers`].
    pub offers: Vec<String>,
    /// See [`Manifest::max_text`].
    pub max_text: u32,
    /// See [`Manifest::idempotent_sends`].
    pub idempotent_sends: bool,
}

/// Room for a manifest in the library's section; a longer one doesn't compile.
#[doc(hidden)]
pub const MANIFEST_CAPACITY: usize = 4096;

/// Writes the manifest as JSON, at compile time, padded with spaces to [`MANIFEST_CAPACITY`].
#[doc(hidden)]
pub const fn encode_manifest(manifest: &Manifest) -> [u8; MANIFEST_CAPACITY] {
    encode("channel", manifest)
}

/// The same for a strategy; what only channels have stays empty.
#[doc(hidden)]
pub const fn encode_strategy_manifest(manifest: &StrategyManifest) -> [u8; MANIFEST_CAPACITY] {
    let manifest = Manifest {
        name: manifest.name,
        version: manifest.version,
        description: manifest.description,
        channel_kind: "",
        hosts: manifest.hosts,
        secrets: &[],
        headers: &[],
        offers: &[],
        max_text: 0,
        idempotent_sends: false,
    };
    encode("strategy", &manifest)
}

const fn encode(plugin_kind: &str, manifest: &Manifest) -> [u8; MANIFEST_CAPACITY] {
    let mut out = Writer { bytes: [b' '; MANIFEST_CAPACITY], len: 0 };
    out.raw("{\"abi\":");
    out.number(crate::abi::ABI_VERSION);
    out.field("sdk", env!("CARGO_PKG_VERSION"));
    out.field("plugin_kind", plugin_kind);
    out.field("name", manifest.name);
    out.field("version", manifest.version);
    out.field("description", manifest.description);
    out.field("channel_kind", manifest.channel_kind);
    out.list("hosts", manifest.hosts);
    out.list("secrets", manifest.secrets);
    out.list("headers", manifest.headers);
    out.raw(",\"offers\":[");
    let mut index = 0;
    while index < manifest.offers.len() {
        if index > 0 {
            out.raw(",");
        }
        out.string(manifest.offers[index].as_str());
        index += 1;
    }
    out.raw("],\"max_text\":");
    out.number(manifest.max_text);
    out.raw(",\"idempotent_sends\":");
    out.raw(if manifest.idempotent_sends { "true" } else { "false" });
    out.raw("}");
    out.bytes
}

struct Writer {
    bytes: [u8; MANIFEST_CAPACITY],
    len: usize,
}

impl Writer {
    const fn raw(&mut self, text: &str) {
        let text = text.as_bytes();
        let mut index = 0;
        while index < text.len() {
            assert!(self.len < MANIFEST_CAPACITY, "the manifest is longer than 4096 bytes");
            self.bytes[self.len] = text[index];
            self.len += 1;
            index += 1;
        }
    }

    const fn string(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut index = 0;
        while index < bytes.len() {
            assert!(
                bytes[index] >= b' ' && bytes[index] != b'"' && bytes[index] != b'\\',
                "manifest texts take no quotes, backslashes or control characters"
            );
            index += 1;
        }
        self.raw("\"");
        self.raw(text);
        self.raw("\"");
    }

    const fn field(&mut self, name: &str, value: &str) {
        self.raw(",");
        self.string(name);
        self.raw(":");
        self.string(value);
    }

    const fn list(&mut self, name: &str, values: &[&str]) {
        self.raw(",");
        self.string(name);
        self.raw(":[");
        let mut index = 0;
        while index < values.len() {
            if index > 0 {
                self.raw(",");
            }
            self.string(values[index]);
            index += 1;
        }
        self.raw("]");
    }

    const fn number(&mut self, number: u32) {
        let mut digits = [0u8; 10];
        let mut count = 0;
        let mut rest = number;
        while rest > 0 || count == 0 {
            digits[count] = b'0' + (rest % 10) as u8;
            rest /= 10;
            count += 1;
        }
        while count > 0 {
            count -= 1;
            assert!(self.len < MANIFEST_CAPACITY, "the manifest is longer than 4096 bytes");
            self.bytes[self.len] = digits[count];
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PLUG-01
    #[test]
    fn the_encoded_manifest_reads_back() {
        const MANIFEST: Manifest = Manifest {
            name: "pager",
            version: "1.2.3",
            description: "Pages, über alles",
            channel_kind: "messaging",
            hosts: &["a.example", "b.example"],
            secrets: &[],
            headers: &["x-pager-signature"],
            offers: &[Offer::Inbound, Offer::OptOut],
            max_text: 1600,
            idempotent_sends: true,
        };
        const BYTES: [u8; MANIFEST_CAPACITY] = encode_manifest(&MANIFEST);
        let info: ManifestInfo = serde_json::from_slice(&BYTES).expect("valid JSON");
        assert_eq!(info.name, "pager");
        assert_eq!(info.hosts, ["a.example", "b.example"]);
        assert_eq!(info.headers.unwrap(), ["x-pager-signature"]);
        assert_eq!(info.offers, ["inbound", "opt_out"]);
        assert_eq!(info.max_text, 1600);
        assert!(info.idempotent_sends);
    }
}
