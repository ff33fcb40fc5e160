//! The defaults of a HorizontalPodAutoscaler (`pkg/apis/autoscaling/v2/defaults.go`).
//!
//! Knows: how fast replicas may come and go if nothing else is said.
//! Does not know: how they are scaled.

use super::{set_missing, types};
use crate::doc;
use crate::value::Value;

types! {
    AUTOSCALER: autoscaler {
        "spec"."minReplicas" = 1;
    } [
        "spec"."behavior" => BEHAVIOR;
    ]
    /// Who says anything of the behaviour gets the rest filled in; who says nothing keeps it unsaid.
    BEHAVIOR {
        "scaleUp"."stabilizationWindowSeconds" = 0;
        "scaleUp"."selectPolicy" = "Max";
        "scaleUp"."policies" = [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15}
        ];
        "scaleDown"."selectPolicy" = "Max";
        "scaleDown"."policies" = [{"type": "Percent", "value": 100, "periodSeconds": 15}];
    }
}

fn autoscaler(autoscaler: &mut Value) {
    if autoscaler.at(&["spec", "metrics"]).is_empty() {
        set_missing(autoscaler, &["spec", "metrics"], || {
            doc!([{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80},
            }}])
        });
    }
}
