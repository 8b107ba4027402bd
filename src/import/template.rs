//! Text with columns in it: `{account_id}/{trans_id}`.

/// Text with columns in it; `{{` and `}}` are plain braces.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Column(String),
}

impl Template {
    /// The columns it names.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Column(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Its text for the columns' values.
    pub(super) fn fill<'a, E>(&'a self, mut value: impl FnMut(&'a str) -> Result<&'a str, E>) -> Result<String, E> {
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(match part {
                Part::Text(plain) => plain,
                Part::Column(name) => value(name)?,
            });
        }
        Ok(text)
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(template: String) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = template.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            plain.push_str(before);
            if brace.starts_with("{{") || brace.starts_with("}}") {
                plain.push_str(&brace[..1]);
                rest = &brace[2..];
                continue;
            }
            let column = brace.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let Some((name, after)) = column.filter(|(name, _)| !name.is_empty() && !name.contains('{')) else {
                return Err(format!("{template:?}: write a column as {{name}}, and a plain brace twice"));
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Column(name.to_owned()));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        if parts.iter().all(|part| matches!(part, Part::Text(_))) {
            return Err("a column is expected, as {name}: the text would be the same for each row".to_owned());
        }
        Ok(Template(parts))
    }
}
