//! Forms in the shape of the JSON they stand for: `board[model]=x` is `{"board":{"model":"x"}}`,
//! `ids[]=a` is `{"ids":["a"]}`.

use serde_json::{Map, Value};

/// Most fields of one form.
const MAX_FIELDS: usize = 256;
/// Deepest `a[b][c]`.
const MAX_DEPTH: usize = 3;

/// Reads a form. `None` if it is none, has too many fields, or uses one name in two ways.
pub(crate) fn to_json(body: &[u8]) -> Option<Value> {
    let mut root = Value::Object(Map::new());
    for (count, (name, value)) in url::form_urlencoded::parse(body).enumerate() {
        if count >= MAX_FIELDS {
            return None;
        }
        let mut steps = name.split('[');
        let first = steps.next()?.to_owned();
        let rest = steps.map(|step| step.strip_suffix(']').map(str::to_owned)).collect::<Option<Vec<_>>>()?;
        if rest.len() > MAX_DEPTH {
            return None;
        }
        put(&mut root, &first, &rest, value.into_owned())?;
    }
    Some(root)
}

fn put(into: &mut Value, name: &str, rest: &[String], value: String) -> Option<()> {
    let map = into.as_object_mut()?;
    match rest {
        [] => {
            map.insert(name.to_owned(), Value::String(value));
            Some(())
        }
        [list] if list.is_empty() => {
            let list = map.entry(name).or_insert_with(|| Value::Array(Vec::new())).as_array_mut()?;
            if !value.is_empty() {
                list.push(Value::String(value));
            }
            Some(())
        }
        [next, deeper @ ..] => {
            let inner = map.entry(name).or_insert_with(|| Value::Object(Map::new()));
            put(inner, next, deeper, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_become_the_json_they_stand_for() {
        let form = b"a=1&b%5Bc%5D=2&b[d]=%C3%A9+x&t[]=x&t[]=y&e[]=";
        assert_eq!(
            to_json(form),
            Some(json!({"a": "1", "b": {"c": "2", "d": "é x"}, "t": ["x", "y"], "e": []}))
        );
        assert_eq!(to_json(b"a=1&a[b]=2"), None);
        assert_eq!(to_json(b"a[b=2"), None);
        assert_eq!(to_json("a[b][c][d][e]=1".as_bytes()), None);
        assert_eq!(to_json(&b"x=1&".repeat(300)), None);
    }
}
