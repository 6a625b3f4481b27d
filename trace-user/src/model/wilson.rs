//! The Wilson score interval (E. B. Wilson, JASA 22, 1927).

use super::thresholds::Z95;

/// Lower bound of the 95 % interval of a share, of which `hits` in `n` were seen; 0 for none.
pub fn lower_bound(hits: u64, n: u64) -> f64 {
    if n == 0 {
        return 0.0;
    }
    let (n, p) = (n as f64, hits as f64 / n as f64);
    let z2 = Z95 * Z95;
    let centre = p + z2 / (2.0 * n);
    let spread = Z95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre - spread) / (1.0 + z2 / n)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert!((lower_bound(30, 30) - 0.8865).abs() < 1e-3);
        assert!((lower_bound(15, 15) - 0.7961).abs() < 1e-3);
        assert!((lower_bound(16, 16) - 0.8064).abs() < 1e-3);
        assert_eq!(lower_bound(0, 0), 0.0);
    }
}
