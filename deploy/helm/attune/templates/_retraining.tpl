{{- /* Rounds of retraining, and what takes the steps of their trials. Each takes the root. */ -}}

{{- /* Not empty where models are retrained. Refuses what that cannot do without. */ -}}
{{- define "attune.retrains" -}}
{{- if .Values.retraining.enabled -}}
{{- if not .Values.archive.enabled -}}
{{- fail "retraining.enabled needs an archive to learn from: archive.enabled=true, with archive.root" -}}
{{- end -}}
{{- if not (include "attune.hasRegistry" .) -}}
{{- fail "retraining.enabled needs a registry to publish to: recommendations.registry.root and .shops" -}}
{{- end -}}
{{- if not .Values.retraining.image.repository -}}
{{- fail "retraining.image.repository is missing: name an image that has what training needs, built with LOCK=train.txt" -}}
{{- end -}}
yes
{{- end -}}
{{- end }}

{{- /* The name of a shop's CronJob, of 52 characters at most; takes the root, a word of five
       letters and the shop. A digest, as a shop's id may be too long. */ -}}
{{- define "attune.shopJob" -}}
{{ include "attune.name" (index . 0) }}-{{ index . 1 }}-{{ sha256sum (index . 2) | trunc 5 }}
{{- end }}

{{- /* The stores' credentials; where both have the same variable, the registry's counts. */ -}}
{{- define "attune.retrainingEnvFrom" -}}
{{- $secrets := list -}}
{{- with .Values.archive.secret }}{{ $secrets = append $secrets . }}{{ end -}}
{{- with .Values.recommendations.registry.secret }}{{ $secrets = append $secrets . }}{{ end -}}
{{- with uniq $secrets -}}
envFrom:
  {{- range . }}
  - secretRef: {name: {{ . | quote }}}
  {{- end }}
{{- end -}}
{{- end }}

{{- define "attune.registryMount" -}}
{{- if include "attune.registryOnVolume" . -}}
- {name: registry, mountPath: {{ .Values.recommendations.registry.root | quote }}}
{{- end -}}
{{- end }}

{{- define "attune.registryVolume" -}}
{{- if include "attune.registryOnVolume" . -}}
- name: registry
  persistentVolumeClaim: {claimName: {{ .Values.recommendations.registry.existingClaim | quote }}}
{{- end -}}
{{- end }}
