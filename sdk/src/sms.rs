//! What all SMS providers share: number forms, opt-out keywords, the number pool's settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Host;
use crate::messages::{
    Consent, Inbound, OpenError, Outbound, Rejection, VerifyReport, VerifyRequest,
};

/// Characters of one SMS, each way.
pub const MAX_TEXT: u32 = 1600;

/// What sort of number it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NumberType {
    /// An ordinary number.
    Local,
    /// Five or six digits.
    ShortCode,
    /// Free for the caller.
    TollFree,
}

/// One of the channel's numbers, as it stands in the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Number {
    /// In the form that the provider wants.
    pub number: String,
    /// What sort of number it is.
    #[serde(rename = "type")]
    pub number_type: NumberType,
    /// For people.
    #[serde(default)]
    pub description: String,
}

/// The form in which a provider writes numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NumberForm {
    /// Digits with country code, no `+`.
    Digits,
    /// E.164 with `+`; short codes bare.
    Plus,
}

/// Checks a pool: not empty, every number in the provider's form.
///
/// # Errors
/// [`OpenError::Config`] with the path of the first wrong number and the right form.
pub fn check_numbers(
    numbers: &[Number],
    form: NumberForm,
    provider: &str,
) -> Result<(), OpenError> {
    if numbers.is_empty() {
        let example = example(form);
        return Err(OpenError::config(
            "numbers",
            format!("no number is given; list at least one, such as \"{example}\""),
        ));
    }
    for (index, number) in numbers.iter().enumerate() {
        if !is_in_form(number, form) {
            let wanted = match (form, number.number_type) {
                (_, NumberType::ShortCode) => {
                    "short codes are 3 to 8 digits, such as \"62345\"".to_owned()
                }
                (NumberForm::Digits, _) => format!(
                    "{provider} numbers are digits with country code and no +, such as \"{}\"",
                    example(form)
                ),
                (NumberForm::Plus, _) => format!(
                    "{provider} numbers are + and digits with country code, such as \"{}\"",
                    example(form)
                ),
            };
            return Err(OpenError::config(
                format!("numbers[{index}].number"),
                format!("\"{}\" isn't in the right form: {wanted}", number.number),
            ));
        }
    }
    Ok(())
}

fn example(form: NumberForm) -> &'static str {
    match form {
        NumberForm::Digits => "14251234567",
        NumberForm::Plus => "+14251234567",
    }
}

fn is_in_form(number: &Number, form: NumberForm) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if number.number_type == NumberType::ShortCode {
        return is_digits(&number.number) && (3..=8).contains(&number.number.len());
    }
    let digits = match form {
        NumberForm::Digits => Some(number.number.as_str()),
        NumberForm::Plus => number.number.strip_prefix('+'),
    };
    digits.is_some_and(|d| is_digits(d) && (8..=15).contains(&d.len()) && !d.starts_with('0'))
}

/// The canonical form: E.164 with `+`; short codes (up to six digits) bare. What isn't written as a number (a
/// sender's name, which may hold digits) stays as it is: it must not be taken for somebody's number.
pub fn canonical(number: &str) -> String {
    if number.chars().any(|c| !c.is_ascii_digit() && !c.is_whitespace() && !"+-().".contains(c)) {
        return number.trim().to_owned();
    }
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let is_short = digits.len() <= 6 && !number.starts_with('+');
    if is_short || digits.is_empty() { number.trim().to_owned() } else { format!("+{digits}") }
}

/// The canonical form of one of our numbers, or of somebody's: short codes that are listed as such stay bare, however long.
pub fn canonical_of(number: &str, ours: &[Number]) -> String {
    let is_short = |own: &Number| own.number_type == NumberType::ShortCode && own.number == number;
    if ours.iter().any(is_short) { number.to_owned() } else { canonical(number) }
}

/// That a message was written to one of these numbers, by somebody else: a provider's signature alone doesn't say to
/// which channel it belongs, where several share a key. Names at other networks stand in no list.
///
/// # Errors
/// [`Rejection::NotUnderstood`] names the number and what would be right.
pub fn check_ends(message: &Inbound, numbers: &[Number]) -> Result<(), Rejection> {
    let refused = |text: String| Err(Rejection::NotUnderstood(text));
    let shown = |address: &str| address.chars().take(60).collect::<String>();
    if !is_ours(&message.to, numbers) {
        let to = shown(&message.to);
        return refused(format!(
            "it is to {to}, which isn't among the channel's `numbers`: list it there, or have its messages sent to its own channel"
        ));
    }
    if is_number(&message.from) && is_ours(&message.from, numbers) {
        let from = shown(&message.from);
        return refused(format!("it comes from {from}, which is the channel's own number"));
    }
    Ok(())
}

fn is_ours(address: &str, numbers: &[Number]) -> bool {
    // Other networks' numbers are no telephone's.
    let number = match address.split_once(':') {
        None => address,
        Some(("whatsapp", number)) => number,
        Some(_) => return true,
    };
    let own = |own: &Number| canonical_of(&own.number, numbers) == canonical_of(number, numbers);
    !is_number(number) || numbers.iter().any(own)
}

fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches('+');
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A test message from the number that is asked for, or else the first.
///
/// # Errors
/// A report that names the number, if it isn't one of the channel's.
pub fn test_message(
    request: VerifyRequest,
    host: &Host,
    numbers: &[Number],
) -> Result<Outbound, VerifyReport> {
    let first = numbers.first().map(|first| first.number.clone()).unwrap_or_default();
    match &request.from {
        Some(from) if !is_number(from) || !is_ours(from, numbers) => {
            let shown: String = from.chars().take(60).collect();
            Err(VerifyReport::failed(format!(
                "{shown:?} isn't among the channel's numbers; the first is {first}"
            )))
        }
        _ => Ok(request.test_message(host, &first)),
    }
}

/// Digits alone, as TeleSign wants them.
pub fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

/// Words that stand alone in a message and mean consent, where the provider itself doesn't say. The
/// lists are those that the providers and carriers publish.
pub fn consent_keyword(text: &str) -> Option<Consent> {
    const OPT_OUT: [&str; 9] =
        ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE", "ARRET"];
    const OPT_IN: [&str; 2] = ["START", "UNSTOP"];
    const HELP: [&str; 2] = ["HELP", "INFO"];
    let word = text.trim().trim_matches(|c: char| c.is_ascii_punctuation());
    let is_in = |words: &[&str]| words.iter().any(|w| w.eq_ignore_ascii_case(word));
    if is_in(&OPT_OUT) {
        Some(Consent::OptOut)
    } else if is_in(&OPT_IN) {
        Some(Consent::OptIn)
    } else if is_in(&HELP) {
        Some(Consent::Help)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: &str, number_type: NumberType) -> Number {
        Number { number: number.to_owned(), number_type, description: String::new() }
    }

    // CH-02
    #[test]
    fn a_wrong_number_form_is_refused_with_the_right_one() {
        let local = |text: &str| vec![number(text, NumberType::Local)];
        assert!(check_numbers(&local("14251234567"), NumberForm::Digits, "TeleSign").is_ok());
        for wrong in ["+14251234567", "1 425 1234567", "425-123", "", "04251234567"] {
            let error = check_numbers(&local(wrong), NumberForm::Digits, "TeleSign").unwrap_err();
            let text = error.to_string();
            assert!(text.contains("numbers[0].number") && text.contains("14251234567"), "{text}");
        }
        assert!(check_numbers(&local("+14251234567"), NumberForm::Plus, "Twilio").is_ok());
        assert!(check_numbers(&local("14251234567"), NumberForm::Plus, "Twilio").is_err());
        let code = vec![number("62345", NumberType::ShortCode)];
        assert!(check_numbers(&code, NumberForm::Digits, "TeleSign").is_ok());
        assert!(check_numbers(&[], NumberForm::Plus, "Twilio").is_err());
    }

    #[test]
    fn numbers_have_one_canonical_form() {
        assert_eq!(canonical("14251234567"), "+14251234567");
        assert_eq!(canonical("+1 (425) 123-4567"), "+14251234567");
        assert_eq!(canonical("62345"), "62345");
        for name in ["D4512345678", "Dan4587654321x", "Bank 24", "４５１２３４５６７８"] {
            assert_eq!(canonical(name), name);
        }
    }

    // CH-12
    #[test]
    fn only_a_keyword_that_stands_alone_counts() {
        assert_eq!(consent_keyword(" Stop. "), Some(Consent::OptOut));
        assert_eq!(consent_keyword("arret"), Some(Consent::OptOut));
        assert_eq!(consent_keyword("UNSTOP"), Some(Consent::OptIn));
        assert_eq!(consent_keyword("help"), Some(Consent::Help));
        assert_eq!(consent_keyword("please stop calling"), None);
    }
}
