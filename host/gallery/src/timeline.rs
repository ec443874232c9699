//! The timeline by months.

use jiff::civil;
use store::timeline::TimelineFilter;

use crate::{Gallery, Result};

impl Gallery {
    /// Months that have assets (their first day), and how many.
    pub async fn time_buckets(&self, filter: &TimelineFilter) -> Result<Vec<(civil::Date, i64)>> {
        Ok(self.store().time_buckets(filter).await?)
    }

    /// One month as Immich's columns, JSON text.
    pub async fn time_bucket(&self, filter: &TimelineFilter, month: civil::Date) -> Result<String> {
        Ok(self.store().time_bucket(filter, month.first_of_month()).await?)
    }
}
