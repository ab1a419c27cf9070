//! Probes: when each is due, and what its answers add up to.
//!
//! A startup probe holds back the other two until it passes; liveness failing means restart; readiness
//! failing means no traffic. Pure: times and answers in, verdicts out. Chapter: `book/src/control-plane/kubelet.md`.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Probe};

/// Which question a probe answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Has it started?
    Startup,
    /// Is it alive?
    Liveness,
    /// Can it take traffic?
    Readiness,
}

impl ProbeKind {
    /// All of them, in the order they matter.
    pub const ALL: [ProbeKind; 3] = [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness];

    /// As events say it.
    pub fn name(self) -> &'static str {
        match self {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        }
    }

    /// The container's probe of this kind.
    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            ProbeKind::Startup => container.startup_probe.as_ref(),
            ProbeKind::Liveness => container.liveness_probe.as_ref(),
            ProbeKind::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

/// One probe's answers so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    last: Option<Timestamp>,
    /// How often in a row it gave the same answer.
    run: i32,
    passing: bool,
    verdict: Option<bool>,
}

/// A container's probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes([Record; 3]);

impl Probes {
    fn record(&self, kind: ProbeKind) -> &Record {
        &self.0[kind as usize]
    }

    /// Takes an answer in.
    pub fn answered(&mut self, kind: ProbeKind, probe: &Probe, passed: Answer, at: Timestamp) {
        let record = &mut self.0[kind as usize];
        let passed = passed == Answer::Passed;
        record.run = if record.last.is_some() && record.passing == passed { record.run + 1 } else { 1 };
        record.last = Some(at);
        record.passing = passed;
        let threshold =
            if passed { probe.success_threshold.unwrap_or(1) } else { probe.failure_threshold.unwrap_or(3) };
        if record.run >= threshold.max(1) {
            record.verdict = Some(passed);
        }
    }

    /// True once the startup probe passed, or there is none.
    pub fn has_started(&self, container: &Container) -> bool {
        container.startup_probe.is_none() || self.record(ProbeKind::Startup).verdict == Some(true)
    }

    /// True when the container can take traffic.
    pub fn is_ready(&self, container: &Container) -> bool {
        let ready = container.readiness_probe.is_none() || self.record(ProbeKind::Readiness).verdict == Some(true);
        ready && self.has_started(container)
    }

    /// The probe that asks for a restart.
    pub fn fatal(&self, container: &Container) -> Option<ProbeKind> {
        let failed = |kind: &ProbeKind| kind.of(container).is_some() && self.record(*kind).verdict == Some(false);
        [ProbeKind::Startup, ProbeKind::Liveness].into_iter().find(failed)
    }

    /// When a probe is next due; `None` when there is nothing to ask.
    pub fn due(&self, kind: ProbeKind, container: &Container, started: Timestamp) -> Option<Timestamp> {
        let probe = kind.of(container)?;
        let has_started = self.has_started(container);
        if (kind == ProbeKind::Startup) == has_started {
            return None;
        }
        let after = |from: Timestamp, seconds: i32| {
            from.saturating_add(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MAX)
        };
        Some(match self.record(kind).last {
            Some(last) => after(last, probe.period_seconds.unwrap_or(10).max(1)),
            None => after(started, probe.initial_delay_seconds.unwrap_or(0)),
        })
    }
}

/// What a probe said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It passed.
    Passed,
    /// It failed, or did not answer in time.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn thresholds_decide_and_startup_comes_first() {
        let probe = Probe { failure_threshold: Some(2), success_threshold: Some(1), ..Probe::default() };
        let container = Container {
            startup_probe: Some(probe.clone()),
            liveness_probe: Some(Probe { initial_delay_seconds: Some(5), ..probe.clone() }),
            readiness_probe: Some(probe.clone()),
            ..Container::default()
        };
        let mut probes = Probes::default();
        assert_eq!(probes.due(ProbeKind::Startup, &container, at(0)), Some(at(0)));
        assert_eq!(probes.due(ProbeKind::Liveness, &container, at(0)), None);
        probes.answered(ProbeKind::Startup, &probe, Answer::Failed, at(0));
        assert_eq!(probes.fatal(&container), None);
        assert_eq!(probes.due(ProbeKind::Startup, &container, at(0)), Some(at(10)));
        probes.answered(ProbeKind::Startup, &probe, Answer::Passed, at(10));
        assert!(probes.has_started(&container) && !probes.is_ready(&container));
        assert_eq!(probes.due(ProbeKind::Startup, &container, at(0)), None);
        assert_eq!(probes.due(ProbeKind::Liveness, &container, at(0)), Some(at(5)));
        probes.answered(ProbeKind::Readiness, &probe, Answer::Passed, at(10));
        assert!(probes.is_ready(&container));
        probes.answered(ProbeKind::Liveness, &probe, Answer::Failed, at(10));
        assert_eq!(probes.fatal(&container), None);
        probes.answered(ProbeKind::Liveness, &probe, Answer::Failed, at(20));
        assert_eq!(probes.fatal(&container), Some(ProbeKind::Liveness));
    }
}
