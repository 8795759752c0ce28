// Package manifests checks the manifests for Kubernetes with Kubernetes' own types: an
// unknown key, or a value of the wrong type, is an error. It is a module of its own, so
// that weft does not depend on Kubernetes.
package manifests

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const folder = "../../configs/kubernetes"

// serviceMonitor is the part of Prometheus' operator's resource that is used.
type serviceMonitor struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		Selector  meta.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port          string `json:"port"`
			Path          string `json:"path"`
			Interval      string `json:"interval"`
			Authorization struct {
				Type        string                 `json:"type"`
				Credentials core.SecretKeySelector `json:"credentials"`
			} `json:"authorization"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// kinds are the resources that there may be.
var kinds = map[string]func() any{
	"v1 ServiceAccount":                       func() any { return new(core.ServiceAccount) },
	"v1 ConfigMap":                            func() any { return new(core.ConfigMap) },
	"v1 Service":                              func() any { return new(core.Service) },
	"apps/v1 StatefulSet":                     func() any { return new(apps.StatefulSet) },
	"policy/v1 PodDisruptionBudget":           func() any { return new(policy.PodDisruptionBudget) },
	"networking.k8s.io/v1 NetworkPolicy":      func() any { return new(networking.NetworkPolicy) },
	"monitoring.coreos.com/v1 ServiceMonitor": func() any { return new(serviceMonitor) },
}

// decode is a file's resources.
func decode(t *testing.T, file string) (list []any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range bytes.Split(b, []byte("\n---\n")) {
		var of meta.TypeMeta
		if err := yaml.Unmarshal(document, &of); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		create := kinds[of.APIVersion+" "+of.Kind]
		if create == nil {
			t.Fatalf("%s: unknown: %s %s", file, of.APIVersion, of.Kind)
		}
		resource := create()
		if err := yaml.UnmarshalStrict(document, resource); err != nil {
			t.Errorf("%s: %s: %v", file, of.Kind, err)
		}
		list = append(list, resource)
	}
	return list
}

func TestManifests(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		decode(t, file)
	}
}

// TestWhatBelongsTogether: names that refer to each other, and times that enclose each
// other.
func TestWhatBelongsTogether(t *testing.T) {
	names := map[string]bool{}
	var set *apps.StatefulSet
	for _, resource := range decode(t, filepath.Join(folder, "weft.yaml")) {
		switch r := resource.(type) {
		case *apps.StatefulSet:
			set = r
		case *core.ConfigMap:
			names["configmap "+r.Name] = true
		case *core.Service:
			names["service "+r.Name] = true
		case *core.ServiceAccount:
			names["account "+r.Name] = true
		}
	}
	if set == nil {
		t.Fatal("no StatefulSet")
	}
	pod := set.Spec.Template.Spec
	c := pod.Containers[0]
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil && !names["configmap "+v.ConfigMap.Name] {
			t.Errorf("there is no ConfigMap %s", v.ConfigMap.Name)
		}
	}
	for _, v := range set.Spec.VolumeClaimTemplates {
		volumes[v.Name] = true
	}
	for _, m := range c.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("there is no volume %s", m.Name)
		}
		if m.SubPath != "" {
			t.Errorf("%s is mounted as a file: changes would not arrive", m.Name)
		}
	}
	if !names["service "+set.Spec.ServiceName] || !names["account "+pod.ServiceAccountName] {
		t.Errorf("there is no service %s, or no account %s", set.Spec.ServiceName, pod.ServiceAccountName)
	}
	ports := map[string]bool{}
	for _, p := range c.Ports {
		ports[p.Name] = true
	}
	for _, p := range []*core.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		if p == nil || p.HTTPGet == nil || !ports[p.HTTPGet.Port.StrVal] {
			t.Errorf("a probe asks nobody: %v", p)
		}
	}
	if pod.TerminationGracePeriodSeconds == nil || c.Lifecycle.PreStop.Sleep == nil {
		t.Fatal("no time to end in")
	}
	const drain = 20 // seconds; the ConfigMap's, which the test of configs holds it to
	if grace, sleep := *pod.TerminationGracePeriodSeconds, c.Lifecycle.PreStop.Sleep.Seconds; grace < sleep+drain+5 {
		t.Errorf("%d s to end in, of which preStop takes %d and the drain %d", grace, sleep, drain)
	}
	s := c.SecurityContext
	if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
		len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" || pod.SecurityContext.SeccompProfile == nil || !*pod.SecurityContext.RunAsNonRoot {
		t.Error("the pod is not of the restricted profile")
	}
}

// TestAFaultIsFound: the check can fail.
func TestAFaultIsFound(t *testing.T) {
	if err := yaml.UnmarshalStrict([]byte("spec: {template: {spec: {containers: [{name: x, readinesProbe: {}}]}}}"), new(apps.StatefulSet)); err == nil {
		t.Error("an unknown key passes")
	}
}
