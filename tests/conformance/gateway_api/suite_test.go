// SPDX-License-Identifier: Apache-2.0

// Package conformance runs the Gateway API's own conformance tests against a mesh.
//
// Flags are the suite's. MANIFESTS names the folder of the manifests to apply in place of the suite's own: the same
// files, with Pods for Deployments (see suite.py).
package conformance

import (
	"io/fs"
	"os"
	"testing"
	"time"

	"sigs.k8s.io/gateway-api/conformance"
)

// A local mesh has no cloud behind it to wait for: what is not there by then does not come.
const patience = 30 * time.Second

func TestConformance(t *testing.T) {
	options := conformance.DefaultOptions(t)
	options.ManifestFS = []fs.FS{os.DirFS(os.Getenv("MANIFESTS"))}
	waits := &options.TimeoutConfig
	for _, wait := range []*time.Duration{
		&waits.GatewayMustHaveAddress,
		&waits.GatewayMustHaveCondition,
		&waits.GatewayStatusMustHaveListeners,
		&waits.GatewayListenersMustHaveConditions,
		&waits.ListenerSetMustHaveCondition,
		&waits.ListenerSetListenersMustHaveConditions,
		&waits.GWCMustBeAccepted,
		&waits.HTTPRouteMustNotHaveParents,
		&waits.HTTPRouteMustHaveCondition,
		&waits.TLSRouteMustHaveCondition,
		&waits.RouteMustHaveParents,
		&waits.LatestObservedGenerationSet,
		&waits.DefaultTestTimeout,
	} {
		*wait = patience
	}
	conformance.RunConformanceWithOptions(t, options)
}
