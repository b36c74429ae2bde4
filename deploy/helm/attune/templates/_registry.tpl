{{- /* Where the models of the recommendations servers come from: the image, or a registry. Each
       takes the root. */ -}}

{{- /* Not empty where there is a registry. Refuses a half of one. */ -}}
{{- define "attune.hasRegistry" -}}
{{- $registry := .Values.recommendations.registry -}}
{{- if $registry.root -}}
{{- if not $registry.shops -}}
{{- fail "recommendations.registry.root is told, but recommendations.registry.shops is empty: name the shops that the servers answer for" -}}
{{- end -}}
{{- if and (not (contains "://" $registry.root)) (not $registry.existingClaim) -}}
{{- fail (printf "recommendations.registry.root is the folder %s, but there is no volume for it: name a claim that all servers can mount in recommendations.registry.existingClaim, or an object store" $registry.root) -}}
{{- end -}}
yes
{{- else if $registry.shops -}}
{{- fail "recommendations.registry.shops is told, but recommendations.registry.root is empty: the model of the image answers for all shops" -}}
{{- end -}}
{{- end }}

{{- define "attune.registryOnVolume" -}}
{{- if and (include "attune.hasRegistry" .) (not (contains "://" .Values.recommendations.registry.root)) -}}
yes
{{- end -}}
{{- end }}

{{- define "attune.modelEnv" -}}
{{- $registry := .Values.recommendations.registry -}}
{{- if include "attune.hasRegistry" . -}}
- name: ATTUNE_RECOMMENDATIONS_REGISTRY
  value: {{ $registry.root | quote }}
- name: ATTUNE_RECOMMENDATIONS_SHOPS
  value: {{ join "," $registry.shops | quote }}
- name: ATTUNE_RECOMMENDATIONS_MODEL_CACHE
  value: /var/cache/attune
- name: ATTUNE_RECOMMENDATIONS_MODEL_CACHE_MB
  value: {{ int64 $registry.cacheMegabytes | quote }}
- name: ATTUNE_RECOMMENDATIONS_MODEL_MEMORY_MB
  value: {{ int64 $registry.memoryMegabytes | quote }}
{{- else -}}
- name: ATTUNE_RECOMMENDATIONS_BUNDLE
  value: /opt/attune/model
{{- end -}}
{{- end }}

{{- /* The credentials of the object store, under the names that its client reads. */ -}}
{{- define "attune.registryEnvFrom" -}}
{{- if include "attune.hasRegistry" . -}}
{{- with .Values.recommendations.registry.secret -}}
envFrom:
  - secretRef: {name: {{ . | quote }}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "attune.registryMounts" -}}
{{- if include "attune.hasRegistry" . }}
- {name: models, mountPath: /var/cache/attune}
{{- if include "attune.registryOnVolume" . }}
- {name: registry, mountPath: {{ .Values.recommendations.registry.root | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- /* Bundles in use stay in the cache beside those that it keeps for a way back; so it may grow to
       twice what it is told. */ -}}
{{- define "attune.registryVolumes" -}}
{{- if include "attune.hasRegistry" . }}
- name: models
  emptyDir: {sizeLimit: {{ mul 2 .Values.recommendations.registry.cacheMegabytes }}Mi}
{{- if include "attune.registryOnVolume" . }}
- name: registry
  persistentVolumeClaim: {claimName: {{ .Values.recommendations.registry.existingClaim | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- /* The object store's ports, which nobody needs without one. */ -}}
{{- define "attune.registryPorts" -}}
{{- $ports := list -}}
{{- if and (include "attune.hasRegistry" .) (not (include "attune.registryOnVolume" .)) -}}
{{- $ports = .Values.recommendations.registry.egressPorts -}}
{{- end -}}
{{- toJson $ports -}}
{{- end }}
