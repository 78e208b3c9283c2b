//! Every route takes the one kind of credential that its path says, and no other.

use crate::harness::TestApp;
use bramble_server::routes::{Caller, Credential, TABLE, credential_of};

#[tokio::test]
async fn each_route_exists_and_refuses_nobody_and_the_wrong_kind() {
    let server = TestApp::start().await;
    let device = server.device().await;
    let http = server.http();
    for (method, pattern, caller) in TABLE {
        let path = pattern
            .split('/')
            .map(|part| if part.starts_with('{') { "00000000-0000-0000-0000-000000000000" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        let url = server.url(&path);
        let send = async |headers: &[(&str, String)]| {
            let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
            let request = http.request(method, &url).header("sec-fetch-site", "same-origin");
            let request = request.header("accept", "application/json");
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
            request.send().await.expect("an answer").status().as_u16()
        };
        let nobody = send(&[]).await;
        assert_ne!(nobody, 405, "{method} {pattern} is not routed");
        assert!(nobody < 500, "{method} {pattern}: {nobody}");
        if *caller == Caller::Anybody {
            continue;
        }
        let refusals: &[u16] = match credential_of(&path) {
            Credential::Device | Credential::ApiToken => &[401, 400],
            Credential::Cookie => &[401, 303, 302, 404, 400],
        };
        assert!(refusals.contains(&nobody), "{method} {pattern} answers {nobody} to nobody");
        let wrong = match credential_of(&path) {
            Credential::Device | Credential::ApiToken => {
                ("cookie", format!("bramble={}; __Host-bramble={0}", "1".repeat(44)))
            }
            Credential::Cookie => ("authorization", format!("Bearer {}", device.token.expose())),
        };
        assert_eq!(send(&[wrong]).await, nobody, "{method} {pattern} looks at the wrong kind of credential");
    }
}
