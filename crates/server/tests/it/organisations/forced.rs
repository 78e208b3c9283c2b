//! What was decided while somebody waited for the lock. The test holds the organisation's lock and changes
//! something, the requests wait behind it, and only then the change is committed: whoever does not look
//! again under the lock, or takes none, fails here on every run.

use super::{location, staffed};
use crate::desk::{Answer, Desk, PATIENCE, Person};
use crate::management::Program;
use crate::management::identities::Board;
use bramble_model::Timestamp;
use bramble_model::account::Role;
use bramble_server::accounts::operator::{self, DisableError};
use bramble_store::Tx;
use bramble_store::testing::Engine;
use bramble_wire::AccountId;
use http::StatusCode;
use serde_json::json;
use time::Duration;
use tokio::task::JoinHandle;

/// Somebody who holds an organisation's lock.
struct Held<'d> {
    desk: &'d Desk,
    tx: Tx,
}

impl<'d> Held<'d> {
    async fn of(desk: &'d Desk, organisation: AccountId) -> Self {
        let tx = desk.app.store.begin().await.expect("begins");
        assert!(tx.lock_account(organisation).await.expect("locks"));
        Self { desk, tx }
    }

    /// Commits when all these wait, and hands out what came of them.
    async fn until_waiting<T: Send + 'static>(self, asked: Vec<JoinHandle<T>>) -> Vec<T> {
        let all_wait = async {
            while self.desk.app.store.writers_waiting().await < asked.len() {
                assert!(asked.iter().all(|one| !one.is_finished()), "it did not wait for the lock");
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, all_wait).await.expect("they wait in time");
        self.tx.commit().await.expect("commits");
        let mut answers = Vec::new();
        for one in asked {
            answers.push(one.await.expect("no panic"));
        }
        answers
    }
}

impl Held<'_> {
    /// The same with one request of whatever kind.
    async fn until_it_waits<T>(self, asked: impl Future<Output = T>) -> T {
        let mut asked = std::pin::pin!(asked);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.desk.app.store.writers_waiting().await == 0 {
            assert!(tokio::time::Instant::now() < deadline, "it waits in time");
            tokio::select! {
                _ = &mut asked => panic!("it did not wait for the lock"),
                () = tokio::task::yield_now() => {}
            }
        }
        self.tx.commit().await.expect("commits");
        asked.await
    }
}

/// A form that somebody sends and does not wait for.
fn send(person: &Person, path: String, form: &[(&'static str, &str)]) -> JoinHandle<Answer> {
    let person = person.clone();
    let form: Vec<(&'static str, String)> =
        form.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    tokio::spawn(async move {
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        person.post(&path, &form).await
    })
}

fn of(organisation: AccountId, person: &Person, deed: &str) -> String {
    format!("/organisations/{organisation}/users/{}/{deed}", person.user)
}

async fn role(desk: &Desk, organisation: AccountId, person: &Person) -> Option<Role> {
    desk.app.store.member(organisation, person.user).await.expect("reads").map(|member| member.role)
}

fn statuses(answers: &[Answer]) -> Vec<StatusCode> {
    answers.iter().map(|answer| answer.status).collect()
}

#[tokio::test]
async fn of_two_administrators_who_remove_each_other_the_second_is_refused() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (shed, [ann, bob, _]) = staffed(&desk).await;
        let held = Held::of(&desk, shed).await;
        let each = vec![send(&ann, of(shed, &bob, "remove"), &[]), send(&bob, of(shed, &ann, "remove"), &[])];
        let mut answers = statuses(&held.until_waiting(each).await);
        answers.sort_unstable();
        assert_eq!(answers, [StatusCode::SEE_OTHER, StatusCode::NOT_FOUND], "{engine:?}");
        let left = [role(&desk, shed, &ann).await, role(&desk, shed, &bob).await];
        let administrators = left.iter().filter(|role| **role == Some(Role::Administrator)).count();
        assert_eq!(administrators, 1, "{engine:?}: {left:?}");
    }
}

#[tokio::test]
async fn two_administrators_who_leave_together_do_not_both_go() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (shed, [ann, bob, _]) = staffed(&desk).await;
        let held = Held::of(&desk, shed).await;
        let leave = format!("/organisations/{shed}/leave");
        let down = [("from", "administrator"), ("role", "member")];
        let both = vec![send(&ann, leave, &[]), send(&bob, of(shed, &bob, "role"), &down)];
        let mut answers = statuses(&held.until_waiting(both).await);
        answers.sort_unstable();
        assert_eq!(answers, [StatusCode::SEE_OTHER, StatusCode::CONFLICT], "{engine:?}");
    }
}

/// What an administrator asks for while they are being removed or demoted.
#[tokio::test]
async fn nothing_is_done_for_whoever_was_an_administrator_a_moment_ago() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (shed, [ann, bob, mem]) = staffed(&desk).await;
        let device = desk.device(&ann, "s1").await;
        desk.give(&ann, &device, shed).await;
        let root = format!("/organisations/{shed}");
        let name = desk.app.store.device(shed, device.id).await.expect("reads").expect("there").name;
        let up = [("from", "member"), ("role", "administrator")];
        let requests: [(String, Vec<(&str, &str)>); 12] = [
            (of(shed, &mem, "remove"), vec![]),
            (of(shed, &mem, "role"), up.to_vec()),
            (format!("{root}/invitations"), vec![("email", "ivy@example.org"), ("role", "administrator")]),
            (format!("{root}/auth-keys"), vec![("description", "k"), ("ttl_days", "7")]),
            (format!("{root}/api-tokens"), vec![("description", "t")]),
            (format!("{root}/settings"), vec![("name", "Bob's")]),
            (format!("{root}/settings/two-factor"), vec![("required", "yes")]),
            (format!("{root}/settings/files"), vec![("allowed", "no")]),
            (format!("{root}/delete"), vec![("confirm", "Shed")]),
            (format!("/devices/{}/settings", device.id), vec![("name", "bob's")]),
            (format!("/devices/{}/delete", device.id), vec![("confirm", &name)]),
            (
                format!("{root}/remote-update/artefacts/new"),
                vec![
                    ("name", "bob's"),
                    ("uri", "https://files.example/a"),
                    ("checksum", "abababababababababababababababababababababababababababababababab"),
                ],
            ),
        ];
        let before = state(&desk, shed).await;
        for removed in [true, false] {
            for (path, form) in &requests {
                let held = Held::of(&desk, shed).await;
                if removed {
                    assert!(held.tx.delete_membership(shed, bob.user).await.expect("writes"));
                } else {
                    assert!(held.tx.set_role(shed, bob.user, Role::Member).await.expect("writes"));
                }
                let answers = held.until_waiting(vec![send(&bob, path.clone(), form)]).await;
                assert_eq!(answers[0].status, StatusCode::NOT_FOUND, "{engine:?} {path} {removed}");
                assert_eq!(state(&desk, shed).await, before, "{engine:?} {path} {removed}");
                let tx = desk.app.store.begin().await.expect("begins");
                tx.delete_membership(shed, bob.user).await.expect("writes");
                let back = tx.insert_membership(shed, bob.user, Role::Administrator, desk.app.clock.now());
                assert!(back.await.expect("writes"));
                tx.commit().await.expect("commits");
            }
        }
    }
}

/// All that those requests would have changed, but Bob's role.
async fn state(desk: &Desk, shed: AccountId) -> String {
    let store = &desk.app.store;
    let account = store.account(shed).await.expect("reads");
    let (members, _) = store.members(shed, 0, 10).await.expect("reads");
    let members: Vec<_> =
        members.into_iter().filter(|it| it.name != "bob").map(|it| (it.name, it.role)).collect();
    let tokens = store.api_tokens(shed, 10).await.expect("reads").len();
    let keys = store.auth_keys(shed, 10).await.expect("reads").len();
    let invitations = store.invitations(shed, 10).await.expect("reads").len();
    let mut log = desk.audit(shed).await;
    log.retain(|line| line != "API access token created");
    format!("{account:?} {members:?} {tokens} {keys} {invitations} {log:?}")
}

/// The same for a program whose token is being revoked.
#[tokio::test]
async fn nothing_is_done_for_a_program_whose_token_was_revoked_a_moment_ago() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (shed, [ann, ..]) = staffed(&desk).await;
        let device = desk.device(&ann, "s1").await;
        desk.give(&ann, &device, shed).await;
        let key = json!({ "description": "k" });
        let artefact = json!({ "name": "a", "uri": "https://files.example/a", "checksum": "ab".repeat(32) });
        let made = Program::of(&desk, shed).await.json("POST", "/organisation/auth-keys", key.clone()).await;
        let (made, name) = (format!("/organisation/auth-keys/{}", made.text("id")), json!({ "name": "x" }));
        let of_device = format!("/organisation/devices/{}", device.id);
        let before = state(&desk, shed).await;
        for (method, path, body) in [
            ("POST", "/organisation/auth-keys", key),
            ("PATCH", &made, json!({ "description": "other" })),
            ("DELETE", &made, json!({})),
            ("POST", "/organisation/artefacts", artefact),
            ("PATCH", &of_device, name),
            ("DELETE", &of_device, json!({})),
            ("POST", "/organisation/device-identities", json!({ "description": "i" })),
        ] {
            // Newer than those before it.
            desk.clock.advance(Duration::SECOND);
            let program = Program::of(&desk, shed).await;
            // Its first use is noted: that write is none of those that wait.
            assert_eq!(program.get("/organisation/devices").await.status, StatusCode::OK);
            let token = desk.app.store.api_tokens(shed, 10).await.expect("reads")[0].id;
            let held = Held::of(&desk, shed).await;
            assert!(held.tx.delete_api_token(shed, token).await.expect("writes"));
            let registers = path.ends_with("/device-identities");
            let asked = async {
                if registers {
                    Board::new().register(&program, body).await
                } else {
                    program.json(method, path, body).await
                }
            };
            let answer = held.until_it_waits(asked).await;
            let what = format!("{engine:?} {method} {path}");
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{what}: {}", answer.body);
            assert_eq!(state(&desk, shed).await, before, "{what}");
        }
    }
}

#[tokio::test]
async fn of_two_people_who_accept_an_invitation_at_once_one_joins() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (shed, [ann, ..]) = staffed(&desk).await;
        let (ivy, eve) = (desk.person("ivy").await, desk.person("eve").await);
        let link = desk.invitation(&ann, shed, &ivy.email, Role::Member).await;
        let path = format!("/invitations/{link}");
        let held = Held::of(&desk, shed).await;
        let both = vec![send(&ivy, path.clone(), &[]), send(&eve, path.clone(), &[])];
        let answers = held.until_waiting(both).await;
        let joined: Vec<_> = answers.iter().filter(|it| it.status == StatusCode::SEE_OTHER).collect();
        assert_eq!(joined.len(), 1, "{engine:?}: {:?}", statuses(&answers));
        assert!(location(joined[0]).contains(&shed.to_string()));
        let in_it = [role(&desk, shed, &ivy).await, role(&desk, shed, &eve).await];
        assert_eq!(in_it.iter().flatten().count(), 1, "{engine:?}: {in_it:?}");
    }
}

#[tokio::test]
async fn an_invitation_that_was_revoked_a_moment_ago_lets_nobody_in() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (shed, [ann, ..]) = staffed(&desk).await;
        let ivy = desk.person("ivy").await;
        let link = desk.invitation(&ann, shed, &ivy.email, Role::Administrator).await;
        let id = desk.app.store.invitations(shed, 1).await.expect("reads")[0].id;
        let held = Held::of(&desk, shed).await;
        assert!(held.tx.take_invitation(shed, id).await.expect("writes").is_some());
        let answers = held.until_waiting(vec![send(&ivy, format!("/invitations/{link}"), &[])]).await;
        assert_eq!(answers[0].status, StatusCode::NOT_FOUND, "{engine:?}");
        assert_eq!(role(&desk, shed, &ivy).await, None, "{engine:?}");
    }
}

/// Two people change a member at once: the role that the second one saw is not there any more.
#[tokio::test]
async fn a_role_that_changed_a_moment_ago_is_not_changed_and_not_removed_twice() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (shed, [ann, bob, mem]) = staffed(&desk).await;
        let up = [("from", "member"), ("role", "administrator")];
        let held = Held::of(&desk, shed).await;
        assert!(held.tx.set_role(shed, mem.user, Role::Administrator).await.expect("writes"));
        let answers = held.until_waiting(vec![send(&ann, of(shed, &mem, "role"), &up)]).await;
        assert_eq!(answers[0].status, StatusCode::CONFLICT, "{engine:?}");
        // Removed: neither has another role now, nor is there anybody to remove.
        let held = Held::of(&desk, shed).await;
        assert!(held.tx.delete_membership(shed, mem.user).await.expect("writes"));
        let down = [("from", "administrator"), ("role", "member")];
        let both = vec![send(&ann, of(shed, &mem, "role"), &down), send(&bob, of(shed, &mem, "remove"), &[])];
        let answers = statuses(&held.until_waiting(both).await);
        assert_eq!(answers, [StatusCode::NOT_FOUND; 2], "{engine:?}");
        assert_eq!(role(&desk, shed, &mem).await, None, "{engine:?}");
    }
}

/// An administrator leaves while the operator disables the other one, and the other way round.
#[tokio::test]
async fn whoever_can_sign_in_and_administers_does_not_go_with_the_last_other_one() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (shed, [ann, bob, _]) = staffed(&desk).await;
        let now: Timestamp = desk.app.clock.now();
        let held = Held::of(&desk, shed).await;
        assert!(held.tx.set_user_disabled(bob.user, Some(now)).await.expect("writes"));
        let leave = format!("/organisations/{shed}/leave");
        let answers = held.until_waiting(vec![send(&ann, leave, &[])]).await;
        assert_eq!(answers[0].status, StatusCode::CONFLICT, "{engine:?}");
        assert_eq!(role(&desk, shed, &ann).await, Some(Role::Administrator), "{engine:?}");

        let tx = desk.app.store.begin().await.expect("begins");
        assert!(tx.set_user_disabled(bob.user, None).await.expect("writes"));
        tx.commit().await.expect("commits");
        let held = Held::of(&desk, shed).await;
        assert!(held.tx.delete_membership(shed, ann.user).await.expect("writes"));
        let (app, user) = (desk.app.clone(), desk.app.store.user(bob.user).await.expect("reads"));
        let disabling =
            tokio::spawn(async move { operator::disable(&app, &user.expect("a person"), false).await });
        let done = held.until_waiting(vec![disabling]).await.pop().expect("one");
        assert!(matches!(done, Err(DisableError::LastAdministrator(_))), "{engine:?}: {done:?}");
        let still = desk.app.store.user(bob.user).await.expect("reads").expect("a person");
        assert!(still.disabled_at.is_none(), "{engine:?}");
    }
}

/// Whoever was disabled a moment ago joins nothing.
#[tokio::test]
async fn whoever_was_disabled_a_moment_ago_joins_nothing() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (shed, [ann, ..]) = staffed(&desk).await;
        let ivy = desk.person("ivy").await;
        let link = desk.invitation(&ann, shed, &ivy.email, Role::Administrator).await;
        let held = Held::of(&desk, shed).await;
        assert!(held.tx.set_user_disabled(ivy.user, Some(desk.app.clock.now())).await.expect("writes"));
        let answers = held.until_waiting(vec![send(&ivy, format!("/invitations/{link}"), &[])]).await;
        assert_eq!(answers[0].status, StatusCode::NOT_FOUND, "{engine:?}");
        assert_eq!(role(&desk, shed, &ivy).await, None, "{engine:?}");
    }
}
