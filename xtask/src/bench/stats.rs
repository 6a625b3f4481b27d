//! Statistics that bear outliers.

/// Median and quartiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// A quarter of the values is below.
    pub low: f64,
    /// Half of the values is below.
    pub median: f64,
    /// Three quarters of the values are below.
    pub high: f64,
}

/// Of any values; none of nothing.
pub fn spread(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = |share: f64| {
        let place = share * last as f64;
        let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        below + (above - below) * place.fract()
    };
    Some(Spread { low: at(0.25), median: at(0.5), high: at(0.75) })
}

/// The median; none of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    spread(values).map(|spread| spread.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_moves_neither_median_nor_quartiles_far() {
        let calm = Spread { low: 2.0, median: 3.0, high: 4.0 };
        assert_eq!(spread([5.0, 3.0, 1.0, 4.0, 2.0]), Some(calm));
        assert_eq!(spread([500.0, 3.0, 1.0, 4.0, 2.0]), Some(calm));
        assert_eq!(median([1.0, 2.0, f64::NAN]), Some(1.5));
        assert_eq!(spread([]), None);
    }
}
