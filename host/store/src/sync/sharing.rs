//! Families of what others share: partners and albums.
//!
//! Of a partner's assets a client has those that their timeline shows; of an album's all that are not behind somebody else's PIN.
//! What is somebody else's favourite is nobody's business.

use super::families::{ASSET, EXIF, Family, STACK};

const PARTNERS: &str =
    "SELECT p.create_id, p.shared_by_id FROM partner p WHERE p.shared_with_id = $1 AND p.create_id >= $2
    ORDER BY p.create_id";

const ALBUMS: &str = "SELECT me.create_id, me.album_id FROM album_user me WHERE me.user_id = $1 AND me.create_id >= $2
    ORDER BY me.create_id";

/// Of a partner.
const SHOWN: &str = "a.visibility = 'timeline' AND a.deleted_at IS NULL";

/// SyncAlbumV2.
const ALBUM: &str =
    "al.id, al.name, al.description, al.created_at, al.updated_at, al.thumbnail_asset_id, al.is_activity_enabled,
    al.sort_order AS order";

pub(super) fn partners() -> Family {
    Family::of("PartnersV1")
        .deletes(
            "PartnerDeleteV1",
            "SELECT d.id, d.shared_by_id, d.shared_with_id FROM partner_audit d
             WHERE (d.shared_by_id = $1 OR d.shared_with_id = $1) AND d.id > $2 ORDER BY d.id",
        )
        .upserts(
            "PartnerV1",
            "SELECT p.update_id, p.shared_by_id, p.shared_with_id, p.in_timeline FROM partner p
             WHERE (p.shared_by_id = $1 OR p.shared_with_id = $1) AND p.update_id > $2 ORDER BY p.update_id",
        )
}

/// What leaves a partner's timeline goes for this client as what is deleted does.
pub(super) fn partner_assets() -> Family {
    Family::of("PartnerAssetsV2")
        .deletes(
            "PartnerAssetDeleteV1",
            "SELECT gone.id, gone.asset_id FROM (
                SELECT d.id, d.asset_id FROM partner p JOIN asset_audit d ON d.owner_id = p.shared_by_id
                WHERE p.shared_with_id = $1 AND d.id > greatest($2, p.create_id)
                UNION ALL
                SELECT a.update_id, a.id FROM partner p JOIN asset a ON a.owner_id = p.shared_by_id
                WHERE p.shared_with_id = $1 AND a.update_id > greatest($2, p.create_id)
                  AND (a.visibility <> 'timeline' OR a.deleted_at IS NOT NULL)
             ) gone ORDER BY gone.id",
        )
        .backfill(
            "PartnerAssetBackfillV2",
            PARTNERS,
            format!(
                "SELECT a.update_id, {ASSET}, false AS is_favorite FROM asset a WHERE $1::uuid IS NOT NULL AND a.owner_id = $4
                   AND a.update_id > $2 AND a.update_id <= $3 AND {SHOWN} ORDER BY a.update_id"
            ),
        )
        .upserts(
            "PartnerAssetV2",
            format!(
                "SELECT a.update_id, {ASSET}, false AS is_favorite FROM partner p JOIN asset a ON a.owner_id = p.shared_by_id
                 WHERE p.shared_with_id = $1 AND a.update_id > $2 AND {SHOWN} ORDER BY a.update_id"
            ),
        )
}

/// Also of an asset that came back to the timeline: the client may have lost it, or never had it.
pub(super) fn partner_asset_exifs() -> Family {
    Family::of("PartnerAssetExifsV1")
        .backfill(
            "PartnerAssetExifBackfillV1",
            PARTNERS,
            format!(
                "SELECT greatest(x.update_id, a.update_id) AS at, {EXIF} FROM asset a JOIN asset_exif x ON x.asset_id = a.id
                 WHERE $1::uuid IS NOT NULL AND a.owner_id = $4 AND greatest(x.update_id, a.update_id) > $2
                   AND greatest(x.update_id, a.update_id) <= $3 AND {SHOWN} ORDER BY at"
            ),
        )
        .upserts(
            "PartnerAssetExifV1",
            format!(
                "SELECT greatest(x.update_id, a.update_id) AS at, {EXIF} FROM (
                    SELECT x.asset_id FROM partner p JOIN asset a ON a.owner_id = p.shared_by_id
                    JOIN asset_exif x ON x.asset_id = a.id WHERE p.shared_with_id = $1 AND x.update_id > $2
                    UNION SELECT a.id FROM partner p JOIN asset a ON a.owner_id = p.shared_by_id
                    WHERE p.shared_with_id = $1 AND a.update_id > $2
                 ) changed JOIN asset a ON a.id = changed.asset_id JOIN asset_exif x ON x.asset_id = a.id
                 JOIN partner p ON p.shared_by_id = a.owner_id AND p.shared_with_id = $1 WHERE {SHOWN} ORDER BY at"
            ),
        )
}

pub(super) fn partner_stacks() -> Family {
    Family::of("PartnerStacksV1")
        .deletes(
            "PartnerStackDeleteV1",
            "SELECT d.id, d.stack_id FROM partner p JOIN stack_audit d ON d.owner_id = p.shared_by_id
             WHERE p.shared_with_id = $1 AND d.id > greatest($2, p.create_id) ORDER BY d.id",
        )
        .backfill(
            "PartnerStackBackfillV1",
            PARTNERS,
            format!(
                "SELECT greatest(s.update_id, a.update_id) AS at, {STACK} FROM stack s JOIN asset a ON a.id = s.primary_asset_id
                 WHERE $1::uuid IS NOT NULL AND s.owner_id = $4 AND greatest(s.update_id, a.update_id) > $2
                   AND greatest(s.update_id, a.update_id) <= $3 AND {SHOWN} ORDER BY at"
            ),
        )
        .upserts(
            "PartnerStackV1",
            format!(
                "SELECT greatest(s.update_id, a.update_id) AS at, {STACK} FROM partner p
                 JOIN stack s ON s.owner_id = p.shared_by_id JOIN asset a ON a.id = s.primary_asset_id
                 WHERE p.shared_with_id = $1 AND greatest(s.update_id, a.update_id) > $2 AND {SHOWN} ORDER BY at"
            ),
        )
}

/// What is taken out of an album has no line of its own: the client takes it away when no album of theirs holds it.
pub(super) fn album_assets() -> Family {
    Family::of("AlbumAssetsV2")
        .backfill(
            "AlbumAssetBackfillV2",
            ALBUMS,
            format!(
                "SELECT m.update_id, {ASSET}, a.is_favorite AND a.owner_id = $1 AS is_favorite
                 FROM album_asset m JOIN asset a ON a.id = m.asset_id
                 WHERE m.album_id = $4 AND m.update_id > $2 AND m.update_id <= $3
                   AND (a.visibility <> 'locked' OR a.owner_id = $1) ORDER BY m.update_id"
            ),
        )
        .updates(
            "AlbumAssetUpdateV2",
            format!(
                "SELECT a.update_id, {ASSET}, a.is_favorite AND a.owner_id = $1 AS is_favorite FROM asset a
                 WHERE a.update_id > $2 AND (a.visibility <> 'locked' OR a.owner_id = $1)
                   AND EXISTS (SELECT FROM album_asset m JOIN album_user me ON me.album_id = m.album_id AND me.user_id = $1
                    WHERE m.asset_id = a.id AND m.update_id <= $3) ORDER BY a.update_id"
            ),
        )
        .upserts(
            "AlbumAssetCreateV2",
            format!(
                "SELECT m.update_id, {ASSET}, a.is_favorite AND a.owner_id = $1 AS is_favorite
                 FROM album_user me JOIN album_asset m ON m.album_id = me.album_id JOIN asset a ON a.id = m.asset_id
                 WHERE me.user_id = $1 AND m.update_id > $2 AND (a.visibility <> 'locked' OR a.owner_id = $1)
                 ORDER BY m.update_id"
            ),
        )
}

pub(super) fn album_asset_exifs() -> Family {
    Family::of("AlbumAssetExifsV1")
        .backfill(
            "AlbumAssetExifBackfillV1",
            ALBUMS,
            format!(
                "SELECT m.update_id, {EXIF} FROM album_asset m JOIN asset a ON a.id = m.asset_id
                 JOIN asset_exif x ON x.asset_id = a.id WHERE m.album_id = $4 AND m.update_id > $2 AND m.update_id <= $3
                   AND (a.visibility <> 'locked' OR a.owner_id = $1) ORDER BY m.update_id"
            ),
        )
        .updates(
            "AlbumAssetExifUpdateV1",
            format!(
                "SELECT x.update_id, {EXIF} FROM asset_exif x JOIN asset a ON a.id = x.asset_id
                 WHERE x.update_id > $2 AND (a.visibility <> 'locked' OR a.owner_id = $1)
                   AND EXISTS (SELECT FROM album_asset m JOIN album_user me ON me.album_id = m.album_id AND me.user_id = $1
                    WHERE m.asset_id = a.id AND m.update_id <= $3) ORDER BY x.update_id"
            ),
        )
        .upserts(
            "AlbumAssetExifCreateV1",
            format!(
                "SELECT m.update_id, {EXIF} FROM album_user me JOIN album_asset m ON m.album_id = me.album_id
                 JOIN asset a ON a.id = m.asset_id JOIN asset_exif x ON x.asset_id = a.id
                 WHERE me.user_id = $1 AND m.update_id > $2 AND (a.visibility <> 'locked' OR a.owner_id = $1)
                 ORDER BY m.update_id"
            ),
        )
}

const ALBUM_DELETES: &str =
    "SELECT d.id, d.album_id FROM album_audit d WHERE d.user_id = $1 AND d.id > $2 ORDER BY d.id";

/// Whoever is let in touches the album: it needs no backfill.
pub(super) fn albums() -> Family {
    Family::of("AlbumsV2").deletes("AlbumDeleteV1", ALBUM_DELETES).upserts(
        "AlbumV2",
        format!(
            "SELECT al.update_id, {ALBUM} FROM album_user me JOIN album al ON al.id = me.album_id
             WHERE me.user_id = $1 AND al.update_id > $2 ORDER BY al.update_id"
        ),
    )
}

/// As apps before 3.0 know an album.
pub(super) fn albums_v1() -> Family {
    Family::of("AlbumsV1").deletes("AlbumDeleteV1", ALBUM_DELETES).upserts(
        "AlbumV1",
        format!(
            "SELECT al.update_id, {ALBUM}, o.user_id AS owner_id FROM album_user me JOIN album al ON al.id = me.album_id
             JOIN album_user o ON o.album_id = al.id AND o.role = 'owner'
             WHERE me.user_id = $1 AND al.update_id > $2 ORDER BY al.update_id"
        ),
    )
}

pub(super) fn album_users() -> Family {
    Family::of("AlbumUsersV1")
        .deletes(
            "AlbumUserDeleteV1",
            "SELECT d.id, d.album_id, d.user_id FROM album_user me JOIN album_user_audit d ON d.album_id = me.album_id
             WHERE me.user_id = $1 AND d.id > $2 ORDER BY d.id",
        )
        .backfill(
            "AlbumUserBackfillV1",
            ALBUMS,
            "SELECT u.update_id, u.album_id, u.user_id, u.role FROM album_user u
             WHERE $1::uuid IS NOT NULL AND u.album_id = $4 AND u.update_id > $2 AND u.update_id <= $3 ORDER BY u.update_id",
        )
        .upserts(
            "AlbumUserV1",
            "SELECT u.update_id, u.album_id, u.user_id, u.role FROM album_user me JOIN album_user u ON u.album_id = me.album_id
             WHERE me.user_id = $1 AND u.update_id > $2 ORDER BY u.update_id",
        )
}

/// What somebody puts behind their PIN leaves the albums of the others.
pub(super) fn album_to_assets() -> Family {
    Family::of("AlbumToAssetsV1")
        .deletes(
            "AlbumToAssetDeleteV1",
            "SELECT gone.id, gone.album_id, gone.asset_id FROM (
                SELECT d.id, d.album_id, d.asset_id FROM album_user me JOIN album_asset_audit d ON d.album_id = me.album_id
                WHERE me.user_id = $1 AND d.id > $2
                UNION ALL
                SELECT a.update_id, m.album_id, a.id FROM asset a JOIN album_asset m ON m.asset_id = a.id
                JOIN album_user me ON me.album_id = m.album_id AND me.user_id = $1
                WHERE a.update_id > $2 AND a.visibility = 'locked' AND a.owner_id <> $1
             ) gone ORDER BY gone.id",
        )
        .backfill(
            "AlbumToAssetBackfillV1",
            ALBUMS,
            "SELECT m.update_id, m.album_id, m.asset_id FROM album_asset m JOIN asset a ON a.id = m.asset_id
             WHERE m.album_id = $4 AND m.update_id > $2 AND m.update_id <= $3
               AND (a.visibility <> 'locked' OR a.owner_id = $1) ORDER BY m.update_id",
        )
        .upserts(
            "AlbumToAssetV1",
            "SELECT m.update_id, m.album_id, m.asset_id FROM album_user me JOIN album_asset m ON m.album_id = me.album_id
             JOIN asset a ON a.id = m.asset_id
             WHERE me.user_id = $1 AND m.update_id > $2 AND (a.visibility <> 'locked' OR a.owner_id = $1)
             ORDER BY m.update_id",
        )
}
