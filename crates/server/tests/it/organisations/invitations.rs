//! Invitations: opened twice, by a machine, by somebody else, after the end, by two at once.

use crate::desk::{Desk, Person};
use bramble_model::account::Role;
use bramble_model::audit::Action;
use bramble_model::{Secret, SecretKind};
use bramble_server::organisations::invitations::LIFETIME;
use bramble_store::invitations::NewInvitation;
use bramble_store::testing::Engine;
use bramble_wire::AccountId;
use http::StatusCode;
use time::Duration;

#[tokio::test]
async fn a_look_accepts_nothing_and_a_post_accepts_once() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
        let shed = desk.organisation(&ann, "Shed").await;
        let link = format!("/invitations/{}", desk.invitation(&ann, shed, &bob.email, Role::Member).await);
        // A scanner of mails follows links, again and again, with a cookie or without.
        for _ in 0..3 {
            let page = bob.get(&link).await;
            assert_eq!(page.status, StatusCode::OK);
            assert!(page.body.contains("Join Shed") && page.body.contains("Member"), "{}", page.body);
            assert_eq!(page.headers["referrer-policy"], "no-referrer");
        }
        assert!(desk.app.store.member(shed, bob.user).await.expect("reads").is_none());
        assert_eq!(bob.post(&link, &[]).await.status, StatusCode::SEE_OTHER);
        assert!(bob.get(&format!("/organisations/{shed}/devices")).await.status.is_success());
        for answer in [bob.post(&link, &[]).await, bob.get(&link).await, ann.post(&link, &[]).await] {
            assert_eq!(answer.status, StatusCode::NOT_FOUND);
            assert!(answer.body.contains("does not work any more"));
        }
        assert_eq!(desk.audit(shed).await, ["Organisation created", "User invited", "User joined"]);
    }
}

#[tokio::test]
async fn on_a_network_without_tls_the_page_lets_its_own_form_through() {
    let url = "http://pi.lan".parse().expect("a URL");
    let desk = Desk::configured(Engine::Sqlite, |config| config.public_url = url).await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    let link = format!("/invitations/{}", desk.invitation(&ann, shed, &bob.email, Role::Member).await);
    // Without it a browser there says "Origin: null" and nothing else, which could be anybody's form.
    assert_eq!(bob.get(&link).await.headers["referrer-policy"], "strict-origin");
}

#[tokio::test]
async fn of_many_who_accept_at_once_one_joins() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let people = [desk.person("bob").await, desk.person("eve").await, desk.person("ivy").await];
        let shed = desk.organisation(&ann, "Shed").await;
        let link =
            format!("/invitations/{}", desk.invitation(&ann, shed, "bob@example.org", Role::Member).await);
        let all = people.iter().map(|person| person.post(&link, &[]));
        let answers = futures_util::future::join_all(all).await;
        let joined = answers.iter().filter(|answer| answer.status == StatusCode::SEE_OTHER).count();
        assert_eq!(joined, 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
        let (_, members) = desk.app.store.members(shed, 0, 10).await.expect("reads");
        assert_eq!(members, 2);
    }
}

#[tokio::test]
async fn another_address_may_join_and_both_are_named() {
    let desk = Desk::new().await;
    let (ann, eve) = (desk.person("ann").await, desk.person("eve").await);
    let shed = desk.organisation(&ann, "Shed").await;
    let link =
        format!("/invitations/{}", desk.invitation(&ann, shed, "bob@example.org", Role::Administrator).await);
    let page = eve.get(&link).await;
    assert!(page.body.contains("bob@example.org") && page.body.contains("eve@example.org"));
    assert_eq!(eve.post(&link, &[]).await.status, StatusCode::SEE_OTHER);
    let mails = desk.mails_to(&ann.email).await.join("\n").replace('\u{200B}', "");
    assert!(mails.contains("sent to bob@example.org was accepted by eve@example.org"), "{mails}");
    assert!(mails.contains("eve (eve@example.org) is an administrator of Shed"), "{mails}");
    let lines = desk.app.store.audit_events(shed, 10).await.expect("reads");
    let joined = lines.iter().find(|line| line.details.contains("invited as")).expect("a line");
    assert_eq!(joined.details, "Administrator, invited as bob@example.org, joined as eve@example.org");
}

#[tokio::test]
async fn a_link_dies_with_its_revocation_its_replacement_and_its_time() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    let users = format!("/organisations/{shed}/users");
    let link =
        async || format!("/invitations/{}", desk.invitation(&ann, shed, &bob.email, Role::Member).await);
    let invitation = async || desk.app.store.invitations(shed, 10).await.expect("reads").remove(0).id;

    let first = link().await;
    let second = link().await;
    assert_eq!(bob.get(&first).await.status, StatusCode::NOT_FOUND, "replaced");
    assert_eq!(bob.get(&second).await.status, StatusCode::OK);
    assert_eq!(desk.app.store.invitations(shed, 10).await.expect("reads").len(), 1);

    let path = format!("/organisations/{shed}/invitations/{}", invitation().await);
    assert_eq!(ann.post(&format!("{path}/resend"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(bob.post(&second, &[]).await.status, StatusCode::NOT_FOUND, "sent again");

    let path = format!("/organisations/{shed}/invitations/{}", invitation().await);
    assert_eq!(ann.post(&format!("{path}/revoke"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(ann.post(&format!("{path}/revoke"), &[]).await.status, StatusCode::NOT_FOUND, "once");
    assert!(!ann.get(&users).await.body.contains("Pending invitations"));

    let third = link().await;
    desk.clock.advance(LIFETIME - Duration::seconds(1));
    let bob = bob.elsewhere(&desk).await;
    assert_eq!(bob.get(&third).await.status, StatusCode::OK);
    desk.clock.advance(Duration::seconds(1));
    assert_eq!(bob.post(&third, &[]).await.status, StatusCode::NOT_FOUND, "too old");
    assert!(ann.elsewhere(&desk).await.get(&users).await.body.contains("Expired"));
}

#[tokio::test]
async fn nobody_is_invited_twice_and_no_address_is_flooded() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    desk.join(shed, &bob, Role::Member).await;
    let path = format!("/organisations/{shed}/invitations");
    for (email, why) in [
        ("BOB@example.org ", "This person is a member already."),
        ("nonsense", "Enter an email address"),
        ("a@b\r\nBcc: c@d.e", "Enter an email address"),
    ] {
        let answer = ann.post(&path, &[("email", email), ("role", "member")]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.body.contains(why), "{email}: {}", answer.body);
    }
    let mut refused = 0;
    for _ in 0..40 {
        let answer = ann.post(&path, &[("email", "victim@example.org"), ("role", "member")]).await;
        refused += u32::from(answer.status == StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert!(refused > 20, "{refused} of 40");
}

#[tokio::test]
async fn where_a_second_factor_is_required_it_comes_first() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.person("ann").await, desk.person("bob").await);
    let shed = desk.organisation(&ann, "Shed").await;
    let link = format!("/invitations/{}", desk.invitation(&ann, shed, &bob.email, Role::Member).await);
    let rule = format!("/organisations/{shed}/settings/two-factor");
    assert_eq!(ann.post(&rule, &[("required", "yes")]).await.status, StatusCode::SEE_OTHER);
    let answer = bob.post(&link, &[]).await;
    assert!(answer.body.contains("Two-factor authentication first"), "{}", answer.body);
    assert_eq!(bob.get(&link).await.status, StatusCode::OK, "the link is still good");
    assert_eq!(ann.post(&rule, &[("required", "no")]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(bob.post(&link, &[]).await.status, StatusCode::SEE_OTHER);
    let mails = desk.mails_to(&ann.email).await.join("\n");
    assert!(mails.contains("turned on the requirement") && mails.contains("turned off the requirement"));
}

/// Whoever is not trusted any more to decide who joins has decided nothing that is still open.
#[tokio::test]
async fn what_an_administrator_sent_is_revoked_with_their_role() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let people = [desk.person("ann").await, desk.person("bob").await, desk.person("eve").await];
        let [ann, bob, eve] = &people;
        let shed = desk.organisation(ann, "Shed").await;
        let link = async |by, email: &str| {
            format!("/invitations/{}", desk.invitation(by, shed, email, Role::Administrator).await)
        };
        let kept = link(ann, "ivy@example.org").await;
        for deed in ["role", "remove"] {
            desk.join(shed, bob, Role::Administrator).await;
            let dead = link(bob, "eve@example.org").await;
            assert_eq!(eve.get(&dead).await.status, StatusCode::OK);
            let path = format!("/organisations/{shed}/users/{}/{deed}", bob.user);
            let page = ann.get(&path).await.body;
            assert!(page.contains("An invitation that bob sent"), "{engine:?} {deed}: {page}");
            let form = [("from", "administrator"), ("role", "member")];
            assert_eq!(ann.post(&path, &form).await.status, StatusCode::SEE_OTHER);
            assert_eq!(eve.post(&dead, &[]).await.status, StatusCode::NOT_FOUND, "{engine:?} {deed}");
            assert!(desk.app.store.member(shed, eve.user).await.expect("reads").is_none());
            let tx = desk.app.store.begin().await.expect("begins");
            tx.delete_membership(shed, bob.user).await.expect("writes");
            tx.commit().await.expect("commits");
        }
        assert_eq!(eve.get(&kept).await.status, StatusCode::OK, "{engine:?}: not his");
        let lines = desk.app.store.audit_events(shed, 100).await.expect("reads");
        let revoked = lines.iter().filter(|line| line.action == Some(Action::InvitationRevoked));
        let revoked: Vec<_> = revoked.map(|line| (line.details.as_str(), line.actor.as_str())).collect();
        assert_eq!(revoked, [("Made by somebody who is no longer an administrator", "ann"); 2], "{engine:?}");
    }
}

#[tokio::test]
async fn what_waits_may_be_sent_again_however_much_waits() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let ann = desk.person("ann").await;
        let shed = desk.organisation(&ann, "Shed").await;
        let tx = desk.app.store.begin().await.expect("begins");
        for number in 0..500 {
            let email = format!("i{number}@example.org");
            tx.put_invitation(NewInvitation {
                id: desk.app.random.id(),
                account: shed,
                token: Secret::generate(SecretKind::MailLink, &*desk.app.random).hash(),
                email: email.clone(),
                email_folded: email,
                role: Role::Member,
                invited_by: ann.user,
                invited_by_name: "ann".to_owned(),
                at: desk.app.clock.now(),
                expires_at: desk.app.clock.now() + LIFETIME,
            })
            .await
            .expect("writes");
        }
        tx.commit().await.expect("commits");
        let path = format!("/organisations/{shed}/invitations");
        let invite = async |email: &str| ann.post(&path, &[("email", email), ("role", "member")]).await;
        let one_more = invite("one-more@example.org").await;
        assert!(one_more.body.contains("Too many invitations are waiting"), "{engine:?}");
        let again = desk.app.store.invitations(shed, 1).await.expect("reads")[0].id;
        let again = ann.post(&format!("{path}/{again}/resend"), &[]).await;
        assert_eq!(again.status, StatusCode::SEE_OTHER, "{engine:?}: {}", again.body);
        let replaced = invite("I7@example.org").await;
        assert_eq!(replaced.status, StatusCode::SEE_OTHER, "{engine:?}: {}", replaced.body);
    }
}

#[tokio::test]
async fn invitations_of_a_stranger_keep_no_mail_from_anybody() {
    let desk = Desk::new().await;
    let (eve, bob) = (desk.person("eve").await, desk.person("bob").await);
    let path = format!("/organisations/{}/invitations", desk.organisation(&eve, "Trap").await);
    for _ in 0..20 {
        eve.post(&path, &[("email", &bob.email), ("role", "member")]).await;
    }
    let got = desk.mails_to(&bob.email).await;
    let invitations = got.iter().filter(|text| text.contains("/invitations/")).count();
    assert!((1..=5).contains(&invitations), "{invitations}");
    let mut nobody = bob.clone();
    nobody.cookie.clear();
    let asked = nobody.post("/forgotten-password", &[("email", &bob.email)]).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.body);
    assert!(desk.mails_to(&bob.email).await.iter().any(|text| text.contains("/reset-password/")));
}

/// Whatever a stranger's organisations send to an address, everybody else can invite its owner.
#[tokio::test]
async fn nobody_uses_up_the_invitations_of_others() {
    for engine in Engine::BOTH {
        let desk = Desk::on(engine).await;
        let (eve, ann, carl) =
            (desk.person("eve").await, desk.person("ann").await, desk.person("carl").await);
        let invite = async |by: &Person, organisation: AccountId, email: &str| {
            let path = format!("/organisations/{organisation}/invitations");
            by.post(&path, &[("email", email), ("role", "member")]).await
        };
        let got = async |email: &str| desk.mails_to(email).await.len();
        let traps = [desk.organisation(&eve, "Trap").await, desk.organisation(&eve, "Pit").await];
        for n in 0..5 {
            assert_eq!(
                invite(&eve, traps[n % 2], "bob@example.org").await.status,
                StatusCode::SEE_OTHER,
                "{n}"
            );
        }
        for trap in [traps[0], traps[1], desk.organisation(&eve, "Net").await] {
            let refused = invite(&eve, trap, "bob@example.org").await;
            assert_eq!(
                refused.status,
                StatusCode::UNPROCESSABLE_ENTITY,
                "{engine:?}: more organisations do not help"
            );
            assert!(refused.body.contains("This address got several invitations"), "{}", refused.body);
        }
        assert_eq!(got("bob@example.org").await, 5, "{engine:?}");
        // Neither is she hindered with others, nor are others with him.
        assert_eq!(invite(&eve, traps[0], "ivy@example.org").await.status, StatusCode::SEE_OTHER);
        let shed = desk.organisation(&ann, "Shed").await;
        assert_eq!(invite(&ann, shed, "bob@example.org").await.status, StatusCode::SEE_OTHER, "{engine:?}");
        assert_eq!(got("bob@example.org").await, 6);

        // One organisation counts as one, whoever of it invites: a resent one as well.
        desk.join(shed, &carl, Role::Administrator).await;
        for _ in 0..2 {
            assert_eq!(invite(&ann, shed, "bob@example.org").await.status, StatusCode::SEE_OTHER);
            assert_eq!(invite(&carl, shed, "BOB@example.org").await.status, StatusCode::SEE_OTHER);
        }
        assert_eq!(invite(&carl, shed, "bob@example.org").await.status, StatusCode::UNPROCESSABLE_ENTITY);
        let waiting = desk.app.store.invitations(shed, 1).await.expect("reads")[0].id;
        let again = ann.post(&format!("/organisations/{shed}/invitations/{waiting}/resend"), &[]).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "{engine:?}: {}", again.body);
        let barn = desk.organisation(&carl, "Barn").await;
        assert_eq!(invite(&carl, barn, "bob@example.org").await.status, StatusCode::SEE_OTHER, "another one");
        desk.clock.advance(Duration::hours(1));
        let eve = eve.elsewhere(&desk).await;
        assert_eq!(
            invite(&eve, traps[0], "bob@example.org").await.status,
            StatusCode::SEE_OTHER,
            "{engine:?}"
        );
    }
}

/// Whoever writes to the whole world is stopped, in whatever organisations, and nobody else is.
#[tokio::test]
async fn one_person_does_not_invite_without_end() {
    let desk = Desk::new().await;
    let (eve, ann) = (desk.person("eve").await, desk.person("ann").await);
    let traps = [desk.organisation(&eve, "Trap").await, desk.organisation(&eve, "Pit").await];
    let shed = desk.organisation(&ann, "Shed").await;
    let invite = async |by: &Person, organisation: AccountId, n: usize| {
        let (path, email) =
            (format!("/organisations/{organisation}/invitations"), format!("i{n}@example.org"));
        by.post(&path, &[("email", &email), ("role", "member")]).await
    };
    // At once: each answer takes a moment, whatever it is.
    let sent = futures_util::future::join_all((0..100).map(|n| invite(&eve, traps[n % 2], n))).await;
    assert!(sent.iter().all(|answer| answer.status == StatusCode::SEE_OTHER));
    let refused = invite(&eve, traps[0], 100).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains("You sent very many invitations"), "{}", refused.body);
    assert_eq!(invite(&ann, shed, 100).await.status, StatusCode::SEE_OTHER);
    desk.clock.advance(Duration::hours(1));
    let eve = eve.elsewhere(&desk).await;
    assert_eq!(invite(&eve, traps[0], 100).await.status, StatusCode::SEE_OTHER);
}
