{{- /* What the archive's pods and those of its compaction have in common. Each takes the root. */ -}}

{{- /* Not empty where the archive lies in a folder, so on a volume. Refuses a place that is none. */ -}}
{{- define "attune.archiveOnVolume" -}}
{{- $archive := .Values.archive -}}
{{- $root := required "archive.root is missing: name an object store, such as s3://bucket/attune, or a folder, such as /srv/archive" $archive.root -}}
{{- if not (contains "://" $root) -}}
{{- if not (or $archive.persistence.existingClaim $archive.persistence.size) -}}
{{- fail (printf "archive.root is the folder %s, but there is no volume for it: name a claim in archive.persistence.existingClaim, or give archive.persistence.size" $root) -}}
{{- end -}}
{{- if and (gt (int $archive.replicas) 1) (not $archive.persistence.existingClaim) -}}
{{- fail (printf "archive.replicas is %d, but archive.persistence.size makes a volume for one pod: name a claim that many pods can write to in archive.persistence.existingClaim, or an object store in archive.root" (int $archive.replicas)) -}}
{{- end -}}
yes
{{- end -}}
{{- end }}

{{- /* Not empty where there is a claim to be made. */ -}}
{{- define "attune.archiveMakesClaim" -}}
{{- if and (include "attune.archiveOnVolume" .) (not .Values.archive.persistence.existingClaim) -}}
yes
{{- end -}}
{{- end }}

{{- /* Not empty where small files are made large ones. */ -}}
{{- define "attune.archiveCompacts" -}}
{{- if and .Values.archive.enabled .Values.archive.compaction.schedule -}}
yes
{{- end -}}
{{- end }}

{{- define "attune.archiveEnv" -}}
- name: ATTUNE_ARCHIVE_ROOT
  value: {{ .Values.archive.root | quote }}
- name: ATTUNE_ARCHIVE_MASTER_KEY_FILE
  value: /etc/attune/master-key
{{- end }}

{{- /* The credentials of the object store, under the names that its client reads. */ -}}
{{- define "attune.archiveEnvFrom" -}}
{{- with .Values.archive.secret -}}
envFrom:
  - secretRef: {name: {{ . | quote }}}
{{- end -}}
{{- end }}

{{- define "attune.archiveMounts" -}}
- {name: master-key, mountPath: /etc/attune, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if include "attune.archiveOnVolume" . }}
- {name: archive, mountPath: {{ .Values.archive.root | quote }}}
{{- end }}
{{- end }}

{{- define "attune.archiveVolumes" -}}
- {{- include "attune.masterKeyVolume" . | nindent 2 }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- end }}

{{- /* The object store's ports, which nobody needs for a folder. */ -}}
{{- define "attune.archivePorts" -}}
{{- $ports := .Values.archive.egressPorts -}}
{{- if include "attune.archiveOnVolume" . }}{{ $ports = list }}{{ end -}}
{{- toJson $ports -}}
{{- end }}

{{- /* The archive's volume for pods of other kinds, which may be one node's: that of its own pods. */ -}}
{{- define "attune.archiveVolume" -}}
{{- if include "attune.archiveOnVolume" . -}}
- name: archive
  persistentVolumeClaim:
    claimName: {{ .Values.archive.persistence.existingClaim | default (printf "archive-%s-archive-0" (include "attune.name" .)) | quote }}
{{- end -}}
{{- end }}

{{- define "attune.besideArchive" -}}
{{- if include "attune.archiveOnVolume" . -}}
# A volume may be one node's: that of the archive's pods.
affinity:
  podAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "attune.selector" (list . "archive") | nindent 12 }}
{{- end -}}
{{- end }}
