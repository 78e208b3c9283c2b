//! Devices.

use super::{BODY_OF_ONE, DEVICES, NONE, SEARCH};
use crate::management::openapi::endpoint::{Answer, Body, Endpoint, Field, Kind};

pub(super) const ALL: &[Endpoint] = &[
    Endpoint {
        method: "GET",
        path: "/organisation/devices",
        id: "listDevices",
        group: DEVICES,
        title: "List devices",
        text: "Sorted by name.",
        query: SEARCH,
        body: None,
        signed: false,
        answer: Answer::Shown("Devices"),
        refusals: &[400],
        then: &[],
    },
    Endpoint {
        method: "GET",
        path: "/organisation/devices/{id}",
        id: "showDevice",
        group: DEVICES,
        title: "Show a device",
        text: "",
        query: NONE,
        body: None,
        signed: false,
        answer: Answer::Shown("Device"),
        refusals: &[404],
        then: &[],
    },
    Endpoint {
        method: "PATCH",
        path: "/organisation/devices/{id}",
        id: "updateDevice",
        group: DEVICES,
        title: "Update a device",
        text: "Fields that are not sent stay as they are.",
        query: NONE,
        body: Some(Body {
            fields: &[
                Field { name: "name", kind: Kind::Name, required: false, text: "Its name." },
                Field {
                    name: "tags",
                    kind: Kind::Tags,
                    required: false,
                    text: "Its tags, in the place of those it has.",
                },
            ],
            example: r#"{"name":"kiosk-1","tags":["production"]}"#,
        }),
        signed: false,
        answer: Answer::Shown("Device"),
        refusals: BODY_OF_ONE,
        then: &[],
    },
    Endpoint {
        method: "DELETE",
        path: "/organisation/devices/{id}",
        id: "deleteDevice",
        group: DEVICES,
        title: "Delete a device",
        text: "It is signed out at once.",
        query: NONE,
        body: None,
        signed: false,
        answer: Answer::Deleted("Device"),
        refusals: &[404],
        then: &[],
    },
];
