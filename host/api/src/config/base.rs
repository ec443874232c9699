//! Immich's configuration as Latent is when nothing is set: every field of AdminConfigDto of 3.2.2. What Latent does not do is off.

use serde_json::{Value, json};

/// Where the plugin storage-local puts originals by default.
pub const TEMPLATE: &str = "library/{owner}/{yyyy}/{yyyy}-{mm}-{dd}/{name}";

pub fn config() -> Value {
    json!({
        "backup": { "database": { "cronExpression": "0 02 * * *", "enabled": false, "keepLastAmount": 14 } },
        "ffmpeg": ffmpeg(),
        "image": image(),
        "integrityChecks": {
            "checksumFiles": { "cronExpression": "0 03 * * *", "enabled": false, "percentageLimit": 1, "timeLimit": 3_600_000 },
            "missingFiles": { "cronExpression": "0 03 * * *", "enabled": false },
            "untrackedFiles": { "cronExpression": "0 03 * * *", "enabled": false },
        },
        "job": job(),
        "library": { "scan": { "cronExpression": "0 0 * * *", "enabled": false }, "watch": { "enabled": false } },
        "logging": { "enabled": true, "level": "log" },
        "machineLearning": machine_learning(),
        "map": { "darkStyle": "", "enabled": false, "lightStyle": "" },
        "metadata": { "faces": { "import": false } },
        "newVersionCheck": { "channel": "stable", "enabled": false },
        "nightlyTasks": {
            "clusterNewFaces": true,
            "databaseCleanup": true,
            "generateMemories": true,
            "missingThumbnails": true,
            "startTime": "00:00",
            "syncQuotaUsage": false,
        },
        "notifications": { "smtp": smtp() },
        "oauth": oauth(),
        "passwordLogin": { "enabled": true },
        "reverseGeocoding": { "enabled": true },
        "server": { "externalDomain": "", "loginPageMessage": "", "publicUsers": true },
        "storageTemplate": { "enabled": true, "hashVerificationEnabled": true, "template": TEMPLATE },
        "templates": { "email": { "albumInviteTemplate": "", "albumUpdateTemplate": "", "welcomeTemplate": "" } },
        "theme": { "customCss": "" },
        "trash": { "days": 30, "enabled": true },
        "user": { "deleteDelay": 7 },
    })
}

/// The defaults of the plugin `transcoding`; what its settings say is laid over them.
fn ffmpeg() -> Value {
    json!({
        "accel": "disabled",
        "accelDecode": false,
        "acceptedAudioCodecs": ["aac", "mp3", "opus"],
        "acceptedContainers": ["mov", "ogg", "webm"],
        "acceptedVideoCodecs": ["h264"],
        "bframes": -1,
        "cqMode": "auto",
        "crf": 23,
        "gopSize": 0,
        "maxBitrate": "0",
        "preferredHwDevice": "auto",
        "preset": "ultrafast",
        "realtime": { "enabled": false, "resolutions": [], "videoCodecs": [] },
        "refs": 0,
        "targetAudioCodec": "aac",
        "targetResolution": "720",
        "targetVideoCodec": "h264",
        "temporalAQ": false,
        "threads": 0,
        "tonemap": "hable",
        "transcode": "required",
        "twoPass": false,
    })
}

fn image() -> Value {
    json!({
        "colorspace": "srgb",
        "extractEmbedded": true,
        "fullsize": { "enabled": false, "format": "jpeg", "progressive": false, "quality": 80 },
        "preview": { "format": "jpeg", "progressive": false, "quality": 80, "size": 1_440 },
        "thumbnail": { "format": "webp", "progressive": false, "quality": 80, "size": 250 },
    })
}

fn job() -> Value {
    let one = || json!({ "concurrency": 1 });
    json!({
        "backgroundTask": one(),
        "editor": one(),
        "faceDetection": one(),
        "integrityCheck": one(),
        "library": one(),
        "metadataExtraction": one(),
        "migration": one(),
        "notifications": one(),
        "ocr": one(),
        "search": one(),
        "sidecar": one(),
        "smartSearch": one(),
        "thumbnailGeneration": one(),
        "videoConversion": one(),
        "workflow": one(),
    })
}

/// Models run in the server itself: there is no URL and nothing to check.
fn machine_learning() -> Value {
    json!({
        "availabilityChecks": { "enabled": false, "interval": 30_000, "timeout": 2_000 },
        "clip": { "enabled": false, "modelName": "" },
        "duplicateDetection": { "enabled": false, "maxDistance": 0.01 },
        "enabled": false,
        "facialRecognition": {
            "enabled": false,
            "maxDistance": 0.5,
            "minFaces": store::people::LISTED_FROM,
            "minScore": 0.7,
            "modelName": "",
        },
        "ocr": {
            "enabled": false,
            "maxResolution": 736,
            "minDetectionScore": 0.5,
            "minRecognitionScore": 0.8,
            "modelName": "",
        },
        "urls": [],
    })
}

fn smtp() -> Value {
    json!({
        "enabled": false,
        "from": "",
        "replyTo": "",
        "transport": {
            "host": "", "ignoreCert": false, "password": "", "port": 587, "secure": false, "username": "",
        },
    })
}

fn oauth() -> Value {
    json!({
        "accountManagementUrl": "",
        "allowInsecureRequests": false,
        "autoLaunch": false,
        "autoRegister": false,
        "buttonText": "",
        "clientId": "",
        "clientSecret": "",
        "defaultStorageQuota": null,
        "enabled": false,
        "endSessionEndpoint": "",
        "issuerUrl": "",
        "mobileOverrideEnabled": false,
        "mobileRedirectUri": "",
        "profileSigningAlgorithm": "none",
        "prompt": "",
        "roleClaim": "",
        "scope": "openid email profile",
        "signingAlgorithm": "RS256",
        "storageLabelClaim": "",
        "storageQuotaClaim": "",
        "timeout": 30_000,
        "tokenEndpointAuthMethod": "client_secret_post",
    })
}

/// What of it every user may know: UserConfigDto. `true` stands for the whole of a field.
pub fn user_fields() -> Value {
    json!({
        "ffmpeg": { "realtime": true },
        "image": { "fullsize": { "enabled": true }, "preview": { "size": true }, "thumbnail": { "size": true } },
        "machineLearning": {
            "clip": { "enabled": true },
            "duplicateDetection": { "enabled": true },
            "enabled": true,
            "facialRecognition": { "enabled": true, "minFaces": true },
            "ocr": { "enabled": true },
        },
        "map": true,
        "oauth": { "autoLaunch": true, "buttonText": true, "enabled": true },
        "passwordLogin": true,
        "reverseGeocoding": true,
        "server": true,
        "theme": true,
        "trash": true,
        "user": true,
    })
}

/// What of it everybody may know: PublicConfigDto.
pub fn public_fields() -> Value {
    json!({
        "oauth": { "autoLaunch": true, "buttonText": true, "enabled": true },
        "passwordLogin": true,
        "server": { "loginPageMessage": true },
        "theme": true,
    })
}
