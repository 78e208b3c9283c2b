//! Artefacts and deployments: the library, the states, what devices report, and rollouts.

mod artefacts;
mod keys;
mod library_pages;
mod pages;
mod races;
mod reports;
mod rollout_pages;
mod rollouts;
mod states;

use crate::desk::{Desk, Device, Person};
use bramble_server::deployments::Manager;
use bramble_store::deployments::Deployment;
use bramble_store::testing::Engine;
use bramble_wire::DeploymentId;
use serde_json::json;

/// Ann with a device, on an engine.
struct Place {
    desk: Desk,
    ann: Person,
    by: Manager,
    device: Device,
}

impl Place {
    async fn on(engine: Engine) -> Self {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let by = desk.manager(&ann, ann.account).await;
        let device = desk.device(&ann, "s1").await;
        Self { desk, ann, by, device }
    }

    async fn new() -> Self {
        Self::on(Engine::Sqlite).await
    }

    /// A pending deployment of the device.
    async fn deploy(&self) -> DeploymentId {
        self.desk.deployment(&self.ann, self.ann.account, self.device.id).await
    }

    async fn report(&self, id: DeploymentId, report: &str) -> crate::desk::Answer {
        self.device.call("POST", &format!("/deployments/{id}/{report}"), json!({})).await
    }

    async fn look(&self, id: DeploymentId) -> Deployment {
        self.desk.app.store.deployment(self.ann.account, id).await.expect("reads").expect("a deployment")
    }

    /// The state's word, and the reason if it failed.
    async fn state(&self, id: DeploymentId) -> String {
        let state = self.look(id).await.state;
        match state.reason() {
            Some(reason) => format!("{}: {reason}", state.word().as_str()),
            None => state.word().as_str().to_owned(),
        }
    }
}
