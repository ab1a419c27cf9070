//! Label and node selectors, compiled once per Pod so that thousands of nodes can be asked.
//!
//! In: the selectors of a Pod's spec. Out: yes or no for a set of labels. Source: Kubernetes
//! `LabelSelector` and `NodeSelector` documents. Chapter: `book/src/control-plane/kube-scheduler.md`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelector as ApiNodeSelector, NodeSelectorRequirement, NodeSelectorTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector as ApiLabelSelector;

/// Labels as objects carry them.
pub type Labels = BTreeMap<String, String>;

/// One comparison of one label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
    Greater(i64),
    Less(i64),
    /// The operator or its value makes no sense: matches nothing.
    Never,
}

impl Requirement {
    fn new(key: &str, operator: &str, values: Option<&Vec<String>>) -> Self {
        let list = || values.cloned().unwrap_or_default();
        let number = || values.and_then(|values| values.first()).and_then(|value| value.parse().ok());
        let test = match operator {
            "In" => Test::In(list()),
            "NotIn" => Test::NotIn(list()),
            "Exists" => Test::Exists,
            "DoesNotExist" => Test::DoesNotExist,
            "Gt" => number().map_or(Test::Never, Test::Greater),
            "Lt" => number().map_or(Test::Never, Test::Less),
            _ => Test::Never,
        };
        Requirement { key: key.to_owned(), test }
    }

    fn equals(key: &str, value: &str) -> Self {
        Requirement { key: key.to_owned(), test: Test::In(vec![value.to_owned()]) }
    }

    /// True when the value under this key passes; a missing label passes only NotIn and DoesNotExist.
    fn holds(&self, value: Option<&str>) -> bool {
        match (&self.test, value) {
            (Test::In(list), Some(value)) => list.iter().any(|item| item == value),
            (Test::NotIn(list), Some(value)) => !list.iter().any(|item| item == value),
            (Test::NotIn(_) | Test::DoesNotExist, None) | (Test::Exists, Some(_)) => true,
            (Test::Greater(bound), Some(value)) => value.parse::<i64>().is_ok_and(|number| number > *bound),
            (Test::Less(bound), Some(value)) => value.parse::<i64>().is_ok_and(|number| number < *bound),
            _ => false,
        }
    }
}

/// A compiled label selector. The absent selector matches nothing, the empty one everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelSelector(Option<Vec<Requirement>>);

impl LabelSelector {
    /// Compiles what the API says.
    pub fn new(selector: Option<&ApiLabelSelector>) -> Self {
        LabelSelector(selector.map(|selector| {
            let equals = selector.match_labels.iter().flatten().map(|(key, value)| Requirement::equals(key, value));
            let expressions = selector.match_expressions.iter().flatten();
            let expressions = expressions.map(|it| Requirement::new(&it.key, &it.operator, it.values.as_ref()));
            equals.chain(expressions).collect()
        }))
    }

    /// Narrows the selector: the label must also have this value.
    pub fn and_equals(&mut self, key: &str, value: &str) {
        self.0.get_or_insert_default().push(Requirement::equals(key, value));
    }

    /// What all of these select at once. `None` when together they ask for nothing.
    pub fn all_of<'a>(selectors: impl Iterator<Item = &'a LabelSelector>) -> Option<Self> {
        let mut all: Vec<Requirement> = selectors.flat_map(|selector| selector.0.iter().flatten()).cloned().collect();
        all.sort();
        all.dedup();
        (!all.is_empty()).then_some(LabelSelector(Some(all)))
    }

    /// True when every requirement holds.
    pub fn matches(&self, labels: &Labels) -> bool {
        let holds = |it: &Requirement| it.holds(labels.get(&it.key).map(String::as_str));
        self.0.as_ref().is_some_and(|all| all.iter().all(holds))
    }
}

/// A compiled node selector: terms are alternatives, the requirements of a term all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSelector(Vec<NodeTerm>);

/// One term of a node selector. An empty term matches no node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTerm {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

impl NodeTerm {
    /// Compiles what the API says.
    pub fn new(term: &NodeSelectorTerm) -> Self {
        let compile = |list: &Option<Vec<NodeSelectorRequirement>>| {
            let list = list.iter().flatten();
            list.map(|it| Requirement::new(&it.key, &it.operator, it.values.as_ref())).collect()
        };
        NodeTerm { labels: compile(&term.match_expressions), fields: compile(&term.match_fields) }
    }

    /// True when the node of this name and these labels passes.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        if self.labels.is_empty() && self.fields.is_empty() {
            return false;
        }
        self.labels.iter().all(|it| it.holds(labels.get(&it.key).map(String::as_str)))
            && self.fields.iter().all(|it| it.key == "metadata.name" && it.holds(Some(name)))
    }
}

impl NodeSelector {
    /// Compiles what the API says.
    pub fn new(selector: &ApiNodeSelector) -> Self {
        NodeSelector(selector.node_selector_terms.iter().map(NodeTerm::new).collect())
    }

    /// True when one of the terms matches.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        self.0.iter().any(|term| term.matches(name, labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_operator_answers_as_documented() {
        let node = labels(&[("zone", "a"), ("cores", "8")]);
        let values = |list: &[&str]| Some(list.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>());
        for (key, operator, list, expected) in [
            ("zone", "In", values(&["a", "b"]), true),
            ("zone", "NotIn", values(&["a"]), false),
            ("disk", "NotIn", values(&["ssd"]), true),
            ("disk", "In", values(&["ssd"]), false),
            ("zone", "Exists", None, true),
            ("disk", "DoesNotExist", None, true),
            ("cores", "Gt", values(&["4"]), true),
            ("cores", "Lt", values(&["8"]), false),
            ("zone", "Gt", values(&["4"]), false),
            ("zone", "Like", None, false),
        ] {
            let term = NodeTerm { labels: vec![Requirement::new(key, operator, list.as_ref())], fields: vec![] };
            assert_eq!(term.matches("n", &node), expected, "{key} {operator} {list:?}");
        }
    }

    #[test]
    fn an_absent_selector_matches_nothing_and_an_empty_one_everything() {
        assert!(!LabelSelector::new(None).matches(&Labels::new()));
        assert!(LabelSelector::new(Some(&ApiLabelSelector::default())).matches(&Labels::new()));
        assert!(!NodeTerm::default().matches("n", &Labels::new()));
    }
}
