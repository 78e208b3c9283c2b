//! How many bytes of output the browser is ready to take.

use bramble_wire::channel::INITIAL_CREDIT;

/// Granted and not yet used.
#[derive(Debug)]
pub(crate) struct Credit(u64);

impl Credit {
    pub(crate) fn new() -> Self {
        Self(INITIAL_CREDIT)
    }

    /// The browser has drawn this many. A browser that grants without measure harms only itself: what
    /// this device holds is bounded by `flow`.
    pub(crate) fn grant(&mut self, bytes: u64) {
        self.0 = self.0.saturating_add(bytes);
    }

    pub(crate) fn left(&self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    pub(crate) fn spend(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spent_credit_comes_back_only_by_a_grant() {
        let mut credit = Credit::new();
        credit.spend(credit.left());
        assert_eq!(credit.left(), 0);
        credit.grant(10);
        credit.spend(4);
        assert_eq!(credit.left(), 6);
    }

    #[test]
    fn an_absurd_grant_does_not_wrap() {
        let mut credit = Credit::new();
        credit.grant(u64::MAX);
        credit.grant(u64::MAX);
        assert_eq!(credit.left(), usize::MAX);
    }
}
