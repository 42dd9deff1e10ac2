//! Whether a form can be read in one way only. Twilio's signature is over names and values joined without anything
//! between them, sorted by name, behind the URL: whoever has one signed request can draw the lines between them
//! elsewhere. Somebody who texts `STOPFrom+14255550100…` has a signature that holds for a "STOP" from that number as
//! well, with what is true hidden in the name or value of some other field.
//!
//! It can't be told by how fields look, as customers write what they want. But whatever the reading, what was signed
//! is the same text, and holds both: the sender that is true and the one that is claimed. So a text that has more of
//! them than one message has is taken only if Twilio itself has the message so ([`Twilio::check_with_twilio`]).
//!
//! [`Twilio::check_with_twilio`]: crate::Twilio

/// What was signed, behind the URL; and whether a name stands in it twice.
pub struct Joined {
    text: String,
    has_twins: bool,
}

impl Joined {
    /// Of fields as they were sent.
    pub fn of<N: AsRef<str>, V: AsRef<str>>(fields: &[(N, V)]) -> Self {
        let mut fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        fields.sort_unstable();
        // Twilio signs a field that stands twice once.
        let count = fields.len();
        fields.dedup();
        let has_twins =
            fields.len() < count || fields.windows(2).any(|pair| pair[0].0 == pair[1].0);
        let length = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        let mut text = String::with_capacity(length);
        for (name, value) in fields {
            text.push_str(name);
            text.push_str(value);
        }
        Self { text, has_twins }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it may be read as another message, too. Each true field counts once (a message's name twice, as it
    /// stands in `MessageSid` and `SmsMessageSid`).
    pub fn is_ambiguous(&self) -> bool {
        let mut counts = [0_usize; 4];
        for (at, byte) in self.text.bytes().enumerate() {
            let Some((index, name, is_it)) = (match byte {
                b'F' => Some((0, "From", is_address as fn(&str) -> bool)),
                b'T' => Some((1, "To", is_address as fn(&str) -> bool)),
                b'M' => Some((2, "MessageSid", is_sid as fn(&str) -> bool)),
                b'A' => Some((3, "AccountSid", is_account as fn(&str) -> bool)),
                _ => None,
            }) else {
                continue;
            };
            // A letter that stands by itself, so what begins there is text.
            if self.text[at..].strip_prefix(name).is_some_and(is_it) {
                counts[index] += 1;
            }
        }
        self.has_twins || counts[0] > 1 || counts[1] > 1 || counts[2] > 2 || counts[3] > 1
    }
}

/// What a field for an address may hold.
fn is_address(rest: &str) -> bool {
    ["whatsapp:", "messenger:", "rcs:", "+"].iter().any(|begins| rest.starts_with(begins))
        || rest.starts_with(|c: char| c.is_ascii_digit())
}

fn is_sid(rest: &str) -> bool {
    let digits = rest.strip_prefix("SM").or_else(|| rest.strip_prefix("MM")).unwrap_or_default();
    digits.len() >= 32 && digits.bytes().take(32).all(|byte| byte.is_ascii_hexdigit())
}

fn is_account(rest: &str) -> bool {
    let digits = rest.strip_prefix("AC").unwrap_or_default();
    digits.len() >= 32 && digits.bytes().take(32).all(|byte| byte.is_ascii_hexdigit())
}
