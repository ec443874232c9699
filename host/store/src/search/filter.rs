//! The filters of a search as SQL conditions with parameters. Nothing of a client gets into the text.

use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use types::{AlbumId, AssetId, AssetType, LinkId, PersonId, TagId, UserId, Visibility};

/// Which assets a search may find. `None` means: whatever; `Some(None)` of a text: there is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AssetFilter {
    pub owner: Option<UserId>,
    pub id: Option<AssetId>,
    /// `None`: what the timeline shows.
    pub visibility: Option<Visibility>,
    /// Also what lies in the trash.
    pub with_deleted: bool,
    pub kind: Option<AssetType>,
    pub is_favorite: Option<bool>,
    pub is_motion: Option<bool>,
    pub city: Option<Option<String>>,
    pub state: Option<Option<String>>,
    pub country: Option<Option<String>>,
    pub make: Option<Option<String>>,
    pub model: Option<Option<String>>,
    pub lens_model: Option<Option<String>>,
    pub rating: Option<Option<i16>>,
    /// Part of the name or of the description, in whatever case.
    pub file_name: Option<String>,
    pub description: Option<String>,
    pub original_path: Option<String>,
    pub checksum: Option<Vec<u8>>,
    /// All of them must be on it.
    pub people: Vec<PersonId>,
    /// All of them, or one below each, must be on it; `Some` of none: it has no tag at all.
    pub tags: Option<Vec<TagId>>,
    pub taken_after: Option<Timestamp>,
    pub taken_before: Option<Timestamp>,
    pub created_after: Option<Timestamp>,
    pub created_before: Option<Timestamp>,
    pub updated_after: Option<Timestamp>,
    pub updated_before: Option<Timestamp>,
    pub trashed_after: Option<Timestamp>,
    pub trashed_before: Option<Timestamp>,
    /// Bytes.
    pub larger_than: Option<i64>,
    /// In every one of these, whoever owns it: who searches has these albums.
    pub albums: Vec<AlbumId>,
    /// In some album, or in none.
    pub in_album: Option<bool>,
    /// Shown by this link, whoever owns it.
    pub link: Option<LinkId>,
    /// Something is asked for that no asset has (a tag, a library).
    pub nothing: bool,
}

impl AssetFilter {
    /// What the timeline of this owner shows.
    pub fn of(owner: UserId) -> Self {
        Self { owner: Some(owner), ..Self::default() }
    }

    /// Whose assets alone are found; `None`: also others', which an album or a link shows.
    pub(super) fn only_owner(&self) -> Option<UserId> {
        self.owner.filter(|_| self.albums.is_empty() && self.link.is_none())
    }

    fn needs_exif(&self) -> bool {
        [&self.city, &self.state, &self.country, &self.make, &self.model, &self.lens_model].iter().any(|f| f.is_some())
            || self.rating.is_some()
            || self.description.is_some()
    }

    /// `asset a`, and `asset_exif x` where it is needed.
    pub(super) fn tables(&self) -> &'static str {
        if self.needs_exif() { "asset a LEFT JOIN asset_exif x ON x.asset_id = a.id" } else { "asset a" }
    }

    /// The conditions, joined by AND; their values go into `query`.
    pub(super) fn conditions(&self, query: &mut Query) -> String {
        let mut all = vec![if self.nothing { "false" } else { "true" }.to_owned()];
        self.of_the_asset(query, &mut all);
        self.of_the_camera(query, &mut all);
        self.of_texts(query, &mut all);
        self.of_times(query, &mut all);
        self.of_people(query, &mut all);
        self.of_albums(query, &mut all);
        self.of_tags(query, &mut all);
        all.join(" AND ")
    }

    fn of_the_asset(&self, query: &mut Query, all: &mut Vec<String>) {
        if let Some(owner) = self.only_owner() {
            all.push(format!("a.owner_id = {}", query.bind(owner.0)));
        }
        if let Some(id) = self.id {
            all.push(format!("a.id = {}", query.bind(id.0)));
        }
        // Spelled so that the planner sees its partial indexes.
        all.push(format!("a.visibility = '{}'", self.visibility.unwrap_or_default()));
        let is_own = match (self.owner, self.only_owner()) {
            (Some(owner), None) => Some(format!("a.owner_id = {}", query.bind(owner.0))),
            _ => None,
        };
        // What is in the trash, a favourite, or shows a person is for its owner to know.
        match (&is_own, self.with_deleted) {
            (Some(is_own), true) => all.push(format!("(a.deleted_at IS NULL OR {is_own})")),
            (None, true) => {}
            (_, false) => all.push("a.deleted_at IS NULL".into()),
        }
        if let Some(is_own) = is_own.filter(|_| self.is_favorite == Some(true) || !self.people.is_empty()) {
            all.push(is_own);
        }
        if let Some(kind) = self.kind {
            all.push(format!("a.type = '{kind}'"));
        }
        for (column, wanted) in
            [("a.is_favorite", self.is_favorite), ("(a.live_photo_video_id IS NOT NULL)", self.is_motion)]
        {
            if let Some(wanted) = wanted {
                all.push(format!("{column} = {wanted}"));
            }
        }
        if let Some(checksum) = &self.checksum {
            all.push(format!("a.checksum = {}", query.bind(checksum.clone())));
        }
        if let Some(bytes) = self.larger_than {
            all.push(format!("a.file_size >= {}", query.bind(bytes)));
        }
    }

    fn of_the_camera(&self, query: &mut Query, all: &mut Vec<String>) {
        for (column, wanted) in [
            ("x.city", &self.city),
            ("x.state", &self.state),
            ("x.country", &self.country),
            ("x.make", &self.make),
            ("x.model", &self.model),
            ("x.lens_model", &self.lens_model),
        ] {
            match wanted {
                Some(Some(text)) => all.push(format!("{column} = {}", query.bind(text.clone()))),
                Some(None) => all.push(format!("coalesce({column}, '') = ''")),
                None => {}
            }
        }
        match self.rating {
            Some(Some(rating)) => all.push(format!("x.rating = {}", query.bind(rating))),
            Some(None) => all.push("x.rating IS NULL".into()),
            None => {}
        }
    }

    fn of_texts(&self, query: &mut Query, all: &mut Vec<String>) {
        for (column, part) in [
            ("a.original_file_name", &self.file_name),
            ("x.description", &self.description),
            ("a.original_path", &self.original_path),
        ] {
            if let Some(part) = part {
                all.push(format!("{column} ILIKE {}", query.bind(contains(part))));
            }
        }
    }

    fn of_times(&self, query: &mut Query, all: &mut Vec<String>) {
        for (comparison, time) in [
            ("a.file_created_at >=", self.taken_after),
            ("a.file_created_at <=", self.taken_before),
            ("a.created_at >=", self.created_after),
            ("a.created_at <=", self.created_before),
            ("a.updated_at >=", self.updated_after),
            ("a.updated_at <=", self.updated_before),
            ("a.deleted_at >=", self.trashed_after),
            ("a.deleted_at <=", self.trashed_before),
        ] {
            if let Some(time) = time {
                all.push(format!("{comparison} {}", query.bind(time)));
            }
        }
    }

    fn of_albums(&self, query: &mut Query, all: &mut Vec<String>) {
        for album in &self.albums {
            let album = query.bind(album.0);
            all.push(format!("a.id IN (SELECT m.asset_id FROM album_asset m WHERE m.album_id = {album})"));
        }
        if let Some(wanted) = self.in_album {
            let not = if wanted { "" } else { "NOT " };
            all.push(format!("{not}EXISTS (SELECT FROM album_asset m WHERE m.asset_id = a.id)"));
        }
        if let Some(link) = self.link {
            let link = query.bind(link.0);
            all.push(format!(
                "a.id IN (SELECT s.asset_id FROM shared_link_asset s WHERE s.link_id = {link}
                 UNION ALL SELECT m.asset_id FROM shared_link l JOIN album_asset m ON m.album_id = l.album_id
                 WHERE l.id = {link}) AND a.deleted_at IS NULL"
            ));
        }
    }

    fn of_people(&self, query: &mut Query, all: &mut Vec<String>) {
        if self.people.is_empty() {
            return;
        }
        let mut people: Vec<uuid::Uuid> = self.people.iter().map(|id| id.0).collect();
        people.sort_unstable();
        people.dedup();
        let count = people.len() as i64;
        all.push(format!(
            "a.id IN (SELECT f.asset_id FROM face f WHERE f.person_id = ANY({}) AND f.deleted_at IS NULL
             GROUP BY f.asset_id HAVING count(DISTINCT f.person_id) = {})",
            query.bind(people),
            query.bind(count)
        ));
    }

    fn of_tags(&self, query: &mut Query, all: &mut Vec<String>) {
        let Some(tags) = &self.tags else { return };
        let mut tags: Vec<uuid::Uuid> = tags.iter().map(|id| id.0).collect();
        tags.sort_unstable();
        tags.dedup();
        if tags.is_empty() {
            all.push("NOT EXISTS (SELECT FROM tag_asset ta WHERE ta.asset_id = a.id)".into());
            return;
        }
        let count = tags.len() as i64;
        let (ids, count) = (query.bind(tags), query.bind(count));
        all.push(format!("a.id IN {}", tagged(&ids, &count)));
    }
}

/// The assets that have each of the tags `$ids`, of which there are `$count`, or one below it.
pub(crate) fn tagged(ids: &str, count: &str) -> String {
    format!(
        "(SELECT ta.asset_id FROM tag r JOIN tag t ON t.owner_id = r.owner_id
            AND (t.id = r.id OR starts_with(t.value, r.value || '/'))
         JOIN tag_asset ta ON ta.tag_id = t.id WHERE r.id = ANY({ids})
         GROUP BY ta.asset_id HAVING count(DISTINCT r.id) = {count})"
    )
}

/// A LIKE pattern that finds `part` anywhere, as it is.
fn contains(part: &str) -> String {
    let mut pattern = String::from("%");
    for letter in part.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern + "%"
}

/// The parameters of a statement that is being written.
#[derive(Default)]
pub(super) struct Query {
    arguments: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Query {
    /// Adds a parameter and answers its name, `$n`.
    pub(super) fn bind(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.arguments.push(Box::new(value));
        format!("${}", self.arguments.len())
    }

    pub(super) fn arguments(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.arguments.iter().map(|argument| &**argument as &(dyn ToSql + Sync)).collect()
    }
}
