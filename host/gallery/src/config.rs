//! What an administrator may change while the server runs. Everything else stands in the operator's settings.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Event, Gallery, GalleryError, Result};

/// Under which the changes are noted.
const KEY: &str = "system-config";
/// Bytes.
const LONGEST_TEXT: usize = 10_000;
const LONGEST_CSS: usize = 1 << 20;
const LONGEST_DELAY: u32 = 36_500;

/// The settings that can be changed while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunningConfig {
    /// Days after which what lies in the trash goes for ever.
    pub trash_days: u32,
    /// Days after which a deleted user goes for ever.
    pub user_delete_delay: u32,
    /// Where links that are sent to others begin; empty: where the client is.
    pub external_domain: String,
    pub login_page_message: String,
    /// Do users see who else there is?
    pub public_users: bool,
    /// Served at /custom.css.
    pub custom_css: String,
}

impl Default for RunningConfig {
    fn default() -> Self {
        Self {
            trash_days: 30,
            user_delete_delay: 7,
            external_domain: String::new(),
            login_page_message: String::new(),
            public_users: true,
            custom_css: String::new(),
        }
    }
}

impl RunningConfig {
    fn check(&self) -> Result<()> {
        let wrong = |why: String| Err(GalleryError::Invalid(why));
        for (field, days, least) in
            [("trash.days", self.trash_days, 0), ("user.deleteDelay", self.user_delete_delay, 1)]
        {
            if !(least..=LONGEST_DELAY).contains(&days) {
                return wrong(format!("{field} must be {least} to {LONGEST_DELAY}"));
            }
        }
        let texts = [
            ("server.externalDomain", &self.external_domain, LONGEST_TEXT),
            ("server.loginPageMessage", &self.login_page_message, LONGEST_TEXT),
            ("theme.customCss", &self.custom_css, LONGEST_CSS),
        ];
        for (field, text, longest) in texts {
            if text.len() > longest {
                return wrong(format!("{field} must have at most {longest} bytes"));
            }
        }
        let domain = &self.external_domain;
        let is_web = ["http://", "https://"]
            .iter()
            .any(|scheme| domain.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')));
        if !domain.is_empty() && (!is_web || domain.chars().any(|c| c.is_whitespace() || c.is_control())) {
            return wrong("server.externalDomain must begin with http:// or https://".into());
        }
        Ok(())
    }
}

impl Gallery {
    pub async fn running_config(&self) -> Result<RunningConfig> {
        let noted = self.store().fact(KEY).await?;
        // What another version noted and this one does not understand is as if it had not been changed.
        Ok(noted.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_else(|| self.default_config()))
    }

    /// As the operator's settings have it.
    pub fn default_config(&self) -> RunningConfig {
        RunningConfig { trash_days: self.0.parts.settings.trash_days, ..RunningConfig::default() }
    }

    pub async fn set_running_config(&self, config: &RunningConfig) -> Result<()> {
        config.check()?;
        let value: Value = serde_json::to_value(config).map_err(std::io::Error::other)?;
        self.store().set_fact(KEY, &value).await?;
        self.events().publish(Event::ConfigChanged);
        Ok(())
    }
}
