//! What can be synced: Immich's families in the order in which a client can keep them, parents first.
//!
//! Statements take the user ($1) and the id behind which they begin ($2), and give the id of the update first; see [`super::line`].

use std::borrow::Cow;
use std::sync::LazyLock;

use super::sharing;

/// What a client asks for by one word.
#[derive(Debug)]
pub struct Family {
    /// Immich's SyncRequestType.
    pub request: &'static str,
    pub(super) deletes: Option<Part>,
    pub(super) backfill: Option<Backfill>,
    /// Changes of what came with a container ($3: up to which membership the client has it).
    pub(super) updates: Option<Part>,
    pub(super) upserts: Option<Part>,
}

/// Lines of one type.
#[derive(Debug)]
pub(super) struct Part {
    /// Immich's SyncEntityType.
    pub entity: &'static str,
    pub sql: Cow<'static, str>,
}

/// What was in a container before its user was let in.
#[derive(Debug)]
pub(super) struct Backfill {
    /// Begin of the membership and id of the container, from $2 on.
    pub containers: &'static str,
    /// What is in container $4, behind $2 and up to $3.
    pub rows: Part,
}

impl Family {
    pub(super) const fn of(request: &'static str) -> Self {
        Self { request, deletes: None, backfill: None, updates: None, upserts: None }
    }

    pub(super) fn deletes(self, entity: &'static str, sql: impl Into<Cow<'static, str>>) -> Self {
        Self { deletes: Some(Part { entity, sql: sql.into() }), ..self }
    }

    pub(super) fn backfill(
        self,
        entity: &'static str,
        containers: &'static str,
        sql: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { backfill: Some(Backfill { containers, rows: Part { entity, sql: sql.into() } }), ..self }
    }

    pub(super) fn updates(self, entity: &'static str, sql: impl Into<Cow<'static, str>>) -> Self {
        Self { updates: Some(Part { entity, sql: sql.into() }), ..self }
    }

    pub(super) fn upserts(self, entity: &'static str, sql: impl Into<Cow<'static, str>>) -> Self {
        Self { upserts: Some(Part { entity, sql: sql.into() }), ..self }
    }
}

/// By Immich's SyncRequestType.
pub fn family(request: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.request == request)
}

/// SyncAssetV2, but for whose favourite it is.
pub(super) const ASSET: &str = "a.id, a.owner_id, a.original_file_name, a.checksum, a.type, a.visibility, a.thumbhash,
    a.created_at, a.file_created_at, a.file_modified_at, a.local_date_time, a.deleted_at, a.duration_ms AS duration, a.is_edited,
    NULL::uuid AS library_id, a.live_photo_video_id, a.stack_id, a.width, a.height";

/// SyncAssetExifV1.
pub(super) const EXIF: &str = "x.asset_id, x.city, x.country, x.date_time_original, x.description,
    coalesce(x.exif_image_height, a.height) AS exif_image_height, coalesce(x.exif_image_width, a.width) AS exif_image_width,
    x.exposure_time, x.f_number, a.file_size AS file_size_in_byte, x.focal_length, x.fps, x.iso, x.latitude, x.lens_model,
    x.longitude, x.make, x.model, a.file_modified_at AS modify_date, x.orientation::text AS orientation,
    NULL::text AS profile_description, x.projection_type, x.rating, x.state, x.time_zone";

/// SyncStackV1.
pub(super) const STACK: &str = "s.id, s.owner_id, s.primary_asset_id, s.created_at, s.updated_at";

/// SyncUserV1.
const USER: &str =
    "u.id, u.name, u.email, u.avatar_color, u.deleted_at, u.profile_location IS NOT NULL AS has_profile_image,
    u.profile_changed_at";

/// In the order in which they are sent.
pub static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    vec![
        auth_users(),
        users(),
        sharing::partners(),
        assets(),
        stacks(),
        sharing::partner_assets(),
        sharing::partner_stacks(),
        sharing::album_assets(),
        sharing::albums(),
        sharing::albums_v1(),
        sharing::album_users(),
        sharing::album_to_assets(),
        asset_exifs(),
        sharing::album_asset_exifs(),
        // Nobody reads texts in pictures yet.
        Family::of("AssetOcrV1"),
        sharing::partner_asset_exifs(),
        memories(),
        memory_to_assets(),
        people(),
        asset_faces(),
        user_metadata(),
        asset_metadata(),
        asset_edits(),
    ]
});

/// The PIN's hash stays here: the phone asks only whether there is one.
fn auth_users() -> Family {
    Family::of("AuthUsersV1").upserts(
        "AuthUserV1",
        format!(
            "SELECT u.update_id, {USER}, u.is_admin, ''::text AS oauth_id,
                CASE WHEN u.pin_hash IS NOT NULL THEN 'set' END AS pin_code, u.quota_bytes AS quota_size_in_bytes,
                u.used_bytes AS quota_usage_in_bytes, u.storage_label
             FROM app_user u WHERE u.id = $1 AND u.update_id > $2 ORDER BY u.update_id"
        ),
    )
}

fn users() -> Family {
    Family::of("UsersV1")
        .deletes(
            "UserDeleteV1",
            "SELECT d.id, d.user_id FROM user_audit d WHERE $1::uuid IS NOT NULL AND d.id > $2 ORDER BY d.id",
        )
        .upserts(
            "UserV1",
            format!(
                "SELECT u.update_id, {USER} FROM app_user u WHERE $1::uuid IS NOT NULL AND u.update_id > $2
                 ORDER BY u.update_id"
            ),
        )
}

fn assets() -> Family {
    Family::of("AssetsV2")
        .deletes(
            "AssetDeleteV1",
            "SELECT d.id, d.asset_id FROM asset_audit d WHERE d.owner_id = $1 AND d.id > $2 ORDER BY d.id",
        )
        .upserts(
            "AssetV2",
            format!(
                "SELECT a.update_id, {ASSET}, a.is_favorite FROM asset a WHERE a.owner_id = $1 AND a.update_id > $2
                 ORDER BY a.update_id"
            ),
        )
}

fn asset_exifs() -> Family {
    Family::of("AssetExifsV1").upserts(
        "AssetExifV1",
        format!(
            "SELECT x.update_id, {EXIF} FROM asset_exif x JOIN asset a ON a.id = x.asset_id
             WHERE a.owner_id = $1 AND x.update_id > $2 ORDER BY x.update_id"
        ),
    )
}

fn stacks() -> Family {
    Family::of("StacksV1")
        .deletes(
            "StackDeleteV1",
            "SELECT d.id, d.stack_id FROM stack_audit d WHERE d.owner_id = $1 AND d.id > $2 ORDER BY d.id",
        )
        .upserts(
            "StackV1",
            format!(
                "SELECT s.update_id, {STACK} FROM stack s WHERE s.owner_id = $1 AND s.update_id > $2 ORDER BY s.update_id"
            ),
        )
}

fn memories() -> Family {
    Family::of("MemoriesV1")
        .deletes(
            "MemoryDeleteV1",
            "SELECT d.id, d.memory_id FROM memory_audit d WHERE d.owner_id = $1 AND d.id > $2 ORDER BY d.id",
        )
        .upserts(
            "MemoryV1",
            "SELECT m.update_id, m.id, m.owner_id, m.type, m.data, m.is_saved, m.memory_at, m.seen_at, m.show_at, m.hide_at,
                m.created_at, m.updated_at, m.deleted_at
             FROM memory m WHERE m.owner_id = $1 AND m.update_id > $2 ORDER BY m.update_id",
        )
}

fn memory_to_assets() -> Family {
    Family::of("MemoryToAssetsV1")
        .deletes(
            "MemoryToAssetDeleteV1",
            "SELECT d.id, d.memory_id, d.asset_id FROM memory_asset_audit d WHERE d.owner_id = $1 AND d.id > $2 ORDER BY d.id",
        )
        .upserts(
            "MemoryToAssetV1",
            "SELECT c.update_id, c.memory_id, c.asset_id FROM memory_asset c JOIN memory m ON m.id = c.memory_id
             WHERE m.owner_id = $1 AND c.update_id > $2 ORDER BY c.update_id",
        )
}

fn people() -> Family {
    Family::of("PeopleV1")
        .deletes(
            "PersonDeleteV1",
            "SELECT d.id, d.person_id FROM person_audit d WHERE d.owner_id = $1 AND d.id > $2 ORDER BY d.id",
        )
        .upserts(
            "PersonV1",
            "SELECT p.update_id, p.id, p.owner_id, p.name, p.birth_date, p.is_hidden, p.is_favorite, p.color,
                f.asset_id AS face_asset_id, p.created_at, p.updated_at
             FROM person p LEFT JOIN face f ON f.id = p.feature_face_id
             WHERE p.owner_id = $1 AND p.update_id > $2 ORDER BY p.update_id",
        )
}

/// With an asset that goes the client takes its faces away by itself.
fn asset_faces() -> Family {
    Family::of("AssetFacesV2")
        .deletes(
            "AssetFaceDeleteV1",
            "SELECT d.id, d.face_id AS asset_face_id FROM face_audit d JOIN asset a ON a.id = d.asset_id
             WHERE a.owner_id = $1 AND d.id > $2 ORDER BY d.id",
        )
        .upserts(
            "AssetFaceV2",
            "SELECT f.update_id, f.id, f.asset_id, f.person_id, f.image_width, f.image_height, f.x1 AS bounding_box_x1,
                f.y1 AS bounding_box_y1, f.x2 AS bounding_box_x2, f.y2 AS bounding_box_y2, f.source AS source_type,
                f.deleted_at, true AS is_visible
             FROM face f JOIN asset a ON a.id = f.asset_id WHERE a.owner_id = $1 AND f.update_id > $2 ORDER BY f.update_id",
        )
}

fn user_metadata() -> Family {
    Family::of("UserMetadataV1")
        .deletes(
            "UserMetadataDeleteV1",
            "SELECT d.id, d.user_id, d.key FROM user_metadata_audit d WHERE d.user_id = $1 AND d.id > $2 ORDER BY d.id",
        )
        .upserts(
            "UserMetadataV1",
            "SELECT m.update_id, m.user_id, m.key, m.value FROM user_metadata m WHERE m.user_id = $1 AND m.update_id > $2
             ORDER BY m.update_id",
        )
}

fn asset_metadata() -> Family {
    Family::of("AssetMetadataV1")
        .deletes(
            "AssetMetadataDeleteV1",
            "SELECT d.id, d.asset_id, d.key FROM asset_metadata_audit d WHERE d.owner_id = $1 AND d.id > $2 ORDER BY d.id",
        )
        .upserts(
            "AssetMetadataV1",
            "SELECT m.update_id, m.asset_id, m.key, m.value FROM asset_metadata m JOIN asset a ON a.id = m.asset_id
             WHERE a.owner_id = $1 AND m.update_id > $2 ORDER BY m.update_id",
        )
}

fn asset_edits() -> Family {
    Family::of("AssetEditsV1")
        .deletes(
            "AssetEditDeleteV1",
            "SELECT d.id, d.edit_id FROM asset_edit_audit d WHERE d.owner_id = $1 AND d.id > $2 ORDER BY d.id",
        )
        .upserts(
            "AssetEditV1",
            "SELECT e.update_id, e.id, e.asset_id, e.action, e.parameters, e.sequence
             FROM asset_edit e JOIN asset a ON a.id = e.asset_id WHERE a.owner_id = $1 AND e.update_id > $2
             ORDER BY e.update_id",
        )
}
