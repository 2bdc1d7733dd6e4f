//! What rules say and what was decided, for people.

use super::{Access, Asked, Decision, Finding};

impl Finding {
    /// Says what a rule says.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::OtherAction => "is about other actions",
            Self::OtherSubject => "is about other clients",
            Self::OtherChannels => "is about other channels",
            Self::Part => "allows only some of the channels of the pattern, which does not decide",
            Self::Decides(true) => "allows it",
            Self::Decides(false) => "refuses it",
        }
    }
}

impl Access {
    /// Says what was decided about something, and by what.
    #[must_use]
    pub fn verdict(&self, asked: Asked<'_>, decision: Decision) -> String {
        let is_forget = matches!(asked, Asked::Forget(_));
        let Decision { allowed, rule } = decision;
        let reason = self.reason(decision);
        let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        match (allowed, rule) {
            (true, Some(rule)) => format!("allowed by access[{rule}]"),
            (true, None) if self.is_open() => {
                "allowed, as everything is: there is no [[access]]".to_owned()
            }
            (true, None) => "allowed by the token itself: no [[access]] decides".to_owned(),
            (false, Some(rule)) => format!("refused by access[{rule}]{reason}"),
            (false, None) if self.is_open() && !is_forget => {
                "refused: meta channels are the server's".to_owned()
            }
            (false, None) => "refused: no [[access]] allows it".to_owned(),
        }
    }
}
