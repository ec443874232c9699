//! Paths of objects. A name that somebody chose never leaves its folder.

use latent_plugin::names::{clean, tail};

/// A path with places for what an object says of itself.
pub struct Template(Vec<Part>);

enum Part {
    Text(String),
    Field(Field),
}

#[derive(Clone, Copy)]
enum Field {
    Owner,
    Year,
    Month,
    Day,
    Hour,
    Name,
}

impl Template {
    /// # Errors
    /// An unknown field, an open brace, `..`, or no `{name}` at the end.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('/') || text.split('/').any(|part| part == "..") {
            return Err(format!("the template {text:?} leads out of the folder"));
        }
        if !text.ends_with("{name}") {
            return Err(format!("the template {text:?} does not end with {{name}}"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (field, after) =
                after.split_once('}').ok_or_else(|| format!("the template {text:?} has an open brace"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            parts.push(Part::Field(match field {
                "owner" => Field::Owner,
                "yyyy" => Field::Year,
                "mm" => Field::Month,
                "dd" => Field::Day,
                "hh" => Field::Hour,
                "name" => Field::Name,
                other => {
                    return Err(format!("{{{other}}} is none of {{owner}} {{yyyy}} {{mm}} {{dd}} {{hh}} {{name}}"));
                }
            }));
            rest = after;
        }
        Ok(Self(parts))
    }

    /// `taken_ms`: milliseconds since 1970 of the local wall-clock.
    pub fn path(&self, owner: &str, taken_ms: Option<i64>, name: &str) -> String {
        let (year, month, day, hour) = civil(taken_ms.unwrap_or(0));
        self.0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Field(Field::Owner) => clean(owner),
                Part::Field(Field::Year) => format!("{year:04}"),
                Part::Field(Field::Month) => format!("{month:02}"),
                Part::Field(Field::Day) => format!("{day:02}"),
                Part::Field(Field::Hour) => format!("{hour:02}"),
                Part::Field(Field::Name) => clean(name),
            })
            .collect()
    }
}

/// `thumbs/<owner>/ab/cd/<name>`: no folder grows too large.
pub fn spread(folder: &str, owner: &str, key: &str, name: &str) -> String {
    format!("{folder}/{}/{}/{}/{}", clean(owner), tail(key, 0), tail(key, 2), clean(name))
}

/// `profile/<owner>/<name>`.
pub fn flat(folder: &str, owner: &str, name: &str) -> String {
    if owner.is_empty() {
        format!("{folder}/{}", clean(name))
    } else {
        format!("{folder}/{}/{}", clean(owner), clean(name))
    }
}

/// `IMG.jpg`, `IMG+1.jpg`, ...
pub fn numbered(path: &str, number: u32) -> String {
    if number == 0 {
        return path.to_owned();
    }
    let name_at = path.rfind('/').map_or(0, |at| at + 1);
    match path[name_at..].rfind('.').filter(|at| *at > 0) {
        Some(dot) => format!("{}+{number}{}", &path[..name_at + dot], &path[name_at + dot..]),
        None => format!("{path}+{number}"),
    }
}

/// Year, month, day and hour of milliseconds since 1970 (Howard Hinnant's days-to-civil).
fn civil(ms: i64) -> (i64, i64, i64, i64) {
    let days = ms.div_euclid(86_400_000);
    let hour = ms.rem_euclid(86_400_000) / 3_600_000;
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day, hour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_original_lies_by_owner_and_day() {
        let template = Template::parse("library/{owner}/{yyyy}/{yyyy}-{mm}-{dd}/{name}").unwrap();
        // 2024-03-15T12:00:00
        assert_eq!(
            template.path("admin", Some(1_710_504_000_000), "IMG_1234.jpg"),
            "library/admin/2024/2024-03-15/IMG_1234.jpg"
        );
        assert_eq!(template.path("admin", Some(-1), "a.jpg"), "library/admin/1969/1969-12-31/a.jpg");
    }

    #[test]
    fn a_collision_gets_a_number_before_the_extension() {
        assert_eq!(numbered("library/a.b/IMG.jpg", 0), "library/a.b/IMG.jpg");
        assert_eq!(numbered("library/a.b/IMG.jpg", 2), "library/a.b/IMG+2.jpg");
        assert_eq!(numbered("library/a.b/IMG", 1), "library/a.b/IMG+1");
    }

    #[test]
    fn a_template_that_leads_out_or_is_misspelt_is_refused() {
        for text in ["/etc/{name}", "../{name}", "library/{owner}", "{yyy}/{name}", "{name"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn derivatives_are_spread_by_the_random_end_of_their_key() {
        let key = "0192f0c1-7d5e-7abc-8def-0123456789ab";
        assert_eq!(spread("thumbs", "owner", key, "x.webp"), "thumbs/owner/ba/98/x.webp");
    }
}
