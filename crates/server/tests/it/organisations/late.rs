//! What somebody asks for while they are being removed: their rights are looked up again under the
//! account's lock, so that nothing of it happens after the removal.

use crate::desk::{Desk, Device, Person};
use bramble_model::account::Role;
use bramble_store::Tx;
use bramble_store::testing::Engine;
use bramble_wire::{AccountId, ApiTokenId, AuthKeyId, InvitationId};
use http::StatusCode;

/// What Bob changes: for each of his requests a thing of its own.
struct Things {
    shed: AccountId,
    round: usize,
    renamed: Device,
    deleted: Device,
    signed_out: Device,
    invitation: InvitationId,
    key: AuthKeyId,
    token: ApiTokenId,
}

/// How those things are: the name of the first, whether the second was deleted and the third signed out, and
/// whether the invitation, the key and the token are there.
type State = (String, [bool; 5]);

impl Things {
    async fn new(desk: &Desk, ann: &Person, shed: AccountId, round: usize) -> Self {
        let device = async |letter: &str| desk.device(ann, &format!("{letter}{round}")).await;
        let (renamed, deleted, signed_out) = (device("a").await, device("b").await, device("c").await);
        for device in [&renamed, &deleted, &signed_out] {
            desk.give(ann, device, shed).await;
        }
        desk.invitation(ann, shed, &format!("i{round}@example.org"), Role::Member).await;
        let root = format!("/organisations/{shed}");
        let key = [("description", "k"), ("ttl_days", "7")];
        assert_eq!(ann.post(&format!("{root}/auth-keys"), &key).await.status, StatusCode::OK);
        let token = ann.post(&format!("{root}/api-tokens"), &[("description", "t")]).await;
        assert_eq!(token.status, StatusCode::OK);
        let store = &desk.app.store;
        Self {
            shed,
            round,
            renamed,
            deleted,
            signed_out,
            invitation: store.invitations(shed, 1).await.expect("reads")[0].id,
            key: store.auth_keys(shed, 1).await.expect("reads")[0].id,
            token: store.api_tokens(shed, 1).await.expect("reads")[0].id,
        }
    }

    async fn state(&self, tx: &Tx) -> State {
        let device = async |device: &Device| tx.device(self.shed, device.id).await.expect("reads");
        (
            device(&self.renamed).await.expect("a device").name,
            [
                device(&self.deleted).await.is_none(),
                device(&self.signed_out).await.expect("a device").token.is_none(),
                tx.invitation(self.shed, self.invitation).await.expect("reads").is_some(),
                tx.auth_key(self.shed, self.key).await.expect("reads").is_some(),
                tx.api_token(self.shed, self.token).await.expect("reads").is_some(),
            ],
        )
    }

    /// All that Bob asks for, at once.
    async fn change(&self, bob: &Person) -> [StatusCode; 6] {
        let root = format!("/organisations/{}", self.shed);
        let (rename, delete, sign_out) = (
            format!("/devices/{}/settings", self.renamed.id),
            format!("/devices/{}/delete", self.deleted.id),
            format!("/devices/{}/sign-out", self.signed_out.id),
        );
        let (revoke, key, token) = (
            format!("{root}/invitations/{}/revoke", self.invitation),
            format!("{root}/auth-keys/{}/delete", self.key),
            format!("{root}/api-tokens/{}/revoke", self.token),
        );
        // The name that the deletion's form wants.
        let confirm = format!("host-b{}", self.round);
        let confirm = [("confirm", confirm.as_str())];
        let (rename, delete, sign_out, revoke, key, token) = tokio::join!(
            bob.post(&rename, &[("name", "bob's")]),
            bob.post(&delete, &confirm),
            bob.post(&sign_out, &[]),
            bob.post(&revoke, &[]),
            bob.post(&key, &[]),
            bob.post(&token, &[]),
        );
        [rename, delete, sign_out, revoke, key, token].map(|answer| answer.status)
    }
}

/// Removes Bob in a transaction that others have time to catch up with, and tells how things are in it.
async fn remove(desk: &Desk, bob: &Person, things: &Things) -> State {
    let tx = desk.app.store.begin().await.expect("begins");
    assert!(tx.lock_account(things.shed).await.expect("locks"));
    assert!(tx.delete_membership(things.shed, bob.user).await.expect("writes"));
    for _ in 0..20 {
        things.state(&tx).await;
        tokio::task::yield_now().await;
    }
    let state = things.state(&tx).await;
    tx.commit().await.expect("commits");
    state
}

#[tokio::test]
async fn nothing_is_changed_after_a_removal_by_whoever_was_removed() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let shed = desk.organisation(&ann, "Shed").await;
        for round in 0..6 {
            desk.join(shed, &bob, Role::Administrator).await;
            let things = Things::new(&desk, &ann, shed, round).await;
            let (at_removal, answers) = tokio::join!(remove(&desk, &bob, &things), things.change(&bob));
            let tx = desk.app.store.begin().await.expect("begins");
            let after = things.state(&tx).await;
            drop(tx);
            assert_eq!(after, at_removal, "{engine:?} {round}: {answers:?}");
        }
    }
}
