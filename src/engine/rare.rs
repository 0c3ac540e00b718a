//! What nearly every member has nothing to say in: kept apart, so that it costs one pointer while it is empty.

use std::ops::Deref;

/// A type with one empty value that all can look at.
pub trait Empty: Default + 'static {
    /// The empty value.
    fn empty() -> &'static Self;
}

/// A `T` that is allocated when it is first written to. Writers say whether they allocate, so that taking something out
/// never does.
#[derive(Debug, Default)]
pub struct Rare<T>(Option<Box<T>>);

impl<T> Rare<T> {
    /// Nothing yet, where a constant is needed.
    pub const fn empty() -> Rare<T> {
        Rare(None)
    }
}

impl<T: Empty> Rare<T> {
    /// To write into.
    pub fn make(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }

    /// What is there to take something out of.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// Takes all of it out.
    pub fn take(&mut self) -> Option<Box<T>> {
        self.0.take()
    }

    /// Whether anything is allocated.
    #[cfg(test)]
    pub fn is_allocated(&self) -> bool {
        self.0.is_some()
    }
}

impl<T: Empty> Deref for Rare<T> {
    type Target = T;
    fn deref(&self) -> &T {
        match &self.0 {
            Some(there) => there,
            None => T::empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Empty for Vec<u8> {
        fn empty() -> &'static Self {
            static EMPTY: Vec<u8> = Vec::new();
            &EMPTY
        }
    }

    #[test]
    fn reading_and_taking_allocate_nothing() {
        let mut rare: Rare<Vec<u8>> = Rare::default();
        assert!(rare.is_empty() && rare.get_mut().is_none() && rare.take().is_none() && !rare.is_allocated());
        rare.make().push(7);
        assert_eq!(*rare, [7]);
        assert_eq!(rare.take().as_deref(), Some(&vec![7]));
        assert!(rare.is_empty() && !rare.is_allocated());
    }
}
